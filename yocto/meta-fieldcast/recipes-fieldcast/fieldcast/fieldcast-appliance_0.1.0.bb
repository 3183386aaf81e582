SUMMARY = "What makes a system with Fieldcast an appliance"
DESCRIPTION = "The files of systemd/image, which mirrors the root: mounts of the data partition, the choice between two systems, \
RAUC's configuration, networks and first boot."

require fieldcast-source.inc

SRC_URI += "\
    file://boards;subdir=${BP} \
    file://fw_env.config;subdir=${BP} \
    file://registry.conf;subdir=${BP} \
    file://system-uboot.conf;subdir=${BP} \
"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

# The certificate that bundles are checked with is read where it is, so that the layer can be parsed without keys.
FIELDCAST_KEYRING ?= "${FIELDCAST_KEYS}/ca.cert.pem"
do_install[file-checksums] += "${FIELDCAST_KEYRING}:${@os.path.exists(d.getVar('FIELDCAST_KEYRING'))}"

do_install() {
    [ -e ${FIELDCAST_KEYRING} ] || bbfatal "${FIELDCAST_KEYRING} is missing: yocto/dev-keys makes one for development"
    oe_runmake -C ${S} install-image BOARD=${FIELDCAST_BOARD} DESTDIR=${D}
    install -D -m 0644 ${FIELDCAST_KEYRING} ${D}${sysconfdir}/rauc/keyring.pem
    if [ ${FIELDCAST_BOOT} = uboot ]; then
        sed s/@BOARD@/${FIELDCAST_BOARD}/ ${S}/system-uboot.conf >${D}${sysconfdir}/rauc/system.conf
        install -m 0644 ${S}/fw_env.config ${D}${sysconfdir}
    fi
    if grep -q 'element = "v4l2' ${S}/boards/${FIELDCAST_BOARD}.toml; then
        install -D -m 0644 ${S}/registry.conf ${D}${systemd_system_unitdir}/fieldcastd.service.d/registry.conf
    fi
    # The daemon's package has the first; the second is in a file system in memory.
    rmdir ${D}${sysconfdir}/fieldcast
    rm -rf ${D}${localstatedir}
}

PACKAGE_ARCH = "${MACHINE_ARCH}"

# Its units are enabled by its preset when the image is made, so the class for units is not inherited.
FILES:${PN} += "/data ${nonarch_libdir} ${datadir}/dbus-1/system.d"

RDEPENDS:${PN} += "\
    e2fsprogs-e2fsck \
    e2fsprogs-mke2fs \
    e2fsprogs-resize2fs \
    fieldcast \
    rauc \
    util-linux-blkid \
    util-linux-partx \
    util-linux-setpriv \
    util-linux-sfdisk \
"
RPROVIDES:${PN} += "virtual-rauc-conf"
