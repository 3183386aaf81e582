FILESEXTRAPATHS:prepend:fieldcast-os := "${THISDIR}/files:"

SRC_URI:append:rpi:fieldcast-os = " file://fieldcast.cfg"
SRC_URI:append:rockchip:fieldcast-os = " file://fieldcast.cfg"
