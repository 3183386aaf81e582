SUMMARY = "Fieldcast on Raspberry Pi 4, Compute Module 4 and 5"
DESCRIPTION = "The kernel and the environment of U-Boot, which starts it. The Pi 4 encodes by V4L2, the Pi 5 in software, HEVC too."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

COMPATIBLE_MACHINE = "^rpi$"

RDEPENDS:${PN} = "\
    kernel-image-image \
    libubootenv-bin \
"
RDEPENDS:${PN}:append:raspberrypi5 = " gstreamer1.0-plugins-bad-x265"
