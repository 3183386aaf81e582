SUMMARY = "Fieldcast on x86-64 with Intel graphics"
DESCRIPTION = "VA-API's encoders, and Intel's driver for them from meta-intel."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

COMPATIBLE_HOST = "x86_64.*-linux"

RDEPENDS:${PN} = "gstreamer1.0-plugins-bad-va"
RRECOMMENDS:${PN} = "intel-media-driver"
