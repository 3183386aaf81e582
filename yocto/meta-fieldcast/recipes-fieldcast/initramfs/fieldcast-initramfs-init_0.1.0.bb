SUMMARY = "Init of the initramfs that chooses between two systems"
DESCRIPTION = "The first process of machines whose own boot loader cannot choose, and the script slots, which it asks."

require recipes-fieldcast/fieldcast/fieldcast-source.inc

SRC_URI += "file://init;subdir=${BP}"

inherit allarch

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -m 0755 ${S}/init ${D}/init
    install -D -m 0755 ${S}/systemd/image/usr/lib/fieldcast/slots ${D}${nonarch_libdir}/fieldcast/slots
    # The console that the kernel opens before init has mounted anything.
    install -d ${D}/dev
    mknod -m 0600 ${D}/dev/console c 5 1
}

FILES:${PN} += "/dev /init ${nonarch_libdir}/fieldcast"
