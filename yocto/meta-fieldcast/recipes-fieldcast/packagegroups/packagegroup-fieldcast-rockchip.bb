SUMMARY = "Fieldcast on boards with a Rockchip RK3588 or RK356x"
DESCRIPTION = "The elements of MPP, the SoC's encoders, come from a layer with Rockchip's own kernel. With mainline's there are none \
and boards encode in software."

PACKAGE_ARCH = "${MACHINE_ARCH}"

inherit packagegroup

COMPATIBLE_MACHINE = "^rockchip$"

# "gstreamer1.0-rockchip" where a layer has it; bitbake takes no recommendation that nothing provides.
FIELDCAST_MPP ?= ""
RDEPENDS:${PN} = "${FIELDCAST_MPP} libubootenv-bin"
