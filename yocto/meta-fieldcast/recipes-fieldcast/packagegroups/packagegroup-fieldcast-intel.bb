SUMMARY = "Fieldcast on x86-64 with Intel graphics"
DESCRIPTION = "VA-API's encoders with Intel's driver for them from meta-intel, and x265 beside them."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

COMPATIBLE_HOST = "x86_64.*-linux"

RDEPENDS:${PN} = "gstreamer1.0-plugins-bad-va gstreamer1.0-plugins-bad-x265"
RDEPENDS:${PN}:append:intel-x86-common = " intel-media-driver"
