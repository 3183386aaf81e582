SUMMARY = "Fieldcast on i.MX 8M Plus"
DESCRIPTION = "The elements of NXP's VPU, from meta-freescale."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

COMPATIBLE_MACHINE = "^mx8mp-nxp-bsp$"

RDEPENDS:${PN} = "\
    imx-gst1.0-plugin \
    libubootenv-bin \
"
