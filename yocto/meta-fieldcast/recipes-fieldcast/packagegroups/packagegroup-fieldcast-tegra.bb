SUMMARY = "Fieldcast on Jetson"
DESCRIPTION = "NVIDIA's encoders and its converter to the memory that they read, from meta-tegra; x265 where there is no encoder."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

COMPATIBLE_MACHINE = "^tegra$"

RDEPENDS:${PN} = "\
    gstreamer1.0-plugins-bad-x265 \
    gstreamer1.0-plugins-nvvidconv \
    gstreamer1.0-plugins-nvvideo4linux2 \
"
