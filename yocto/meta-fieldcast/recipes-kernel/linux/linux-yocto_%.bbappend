FILESEXTRAPATHS:prepend:fieldcast-os := "${THISDIR}/files:"

SRC_URI:append:fieldcast-os = " file://fieldcast.cfg"
SRC_URI:append:qemuarm64:fieldcast-os = " file://qemuarm64.cfg"
SRC_URI:append:rockchip:fieldcast-os = " file://rockchip.cfg"
