SUMMARY = "U-Boot's script that chooses the system to start"
DESCRIPTION = "The half of RAUC's U-Boot backend that U-Boot runs: it takes the first system of BOOT_ORDER that has tries left."
DEPENDS = "u-boot-mkimage-native"
PROVIDES += "u-boot-default-script"

require recipes-fieldcast/fieldcast/fieldcast-source.inc

# board.cmd is the machine's: files/rpi and files/rockchip are looked into first.
SRC_URI += "\
    file://board.cmd;subdir=${BP} \
    file://choose.cmd;subdir=${BP} \
"

inherit kernel-arch deploy nopackages

PACKAGE_ARCH = "${MACHINE_ARCH}"

do_configure[noexec] = "1"
do_install[noexec] = "1"

do_compile() {
    sed 's|@CONSOLE@|${UBOOT_EXTLINUX_CONSOLE}|' ${S}/board.cmd ${S}/choose.cmd >${B}/boot.cmd
    mkimage -A ${UBOOT_ARCH} -T script -C none -n "Fieldcast" -d ${B}/boot.cmd ${B}/boot.scr
}

do_deploy() {
    install -d ${DEPLOYDIR}
    install -m 0644 ${B}/boot.scr ${DEPLOYDIR}
}
addtask deploy after do_compile before do_build

COMPATIBLE_MACHINE = "^(rpi|rockchip)$"
INHIBIT_DEFAULT_DEPS = "1"
