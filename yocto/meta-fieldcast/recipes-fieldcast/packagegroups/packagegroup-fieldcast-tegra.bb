SUMMARY = "Fieldcast on Jetson"
DESCRIPTION = "NVIDIA's encoders and its converter to the memory that they read, from meta-tegra."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

COMPATIBLE_MACHINE = "^tegra$"

RDEPENDS:${PN} = "\
    gstreamer1.0-plugins-nvvidconv \
    gstreamer1.0-plugins-nvvideo4linux2 \
"
