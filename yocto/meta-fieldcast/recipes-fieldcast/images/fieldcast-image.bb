SUMMARY = "A Fieldcast box"
DESCRIPTION = "Read-only root in two slots, state and recordings on a data partition, no way in but Fieldcast's own: no login, no \
password, SSH installed and off."
LICENSE = "MIT"

inherit core-image qemu

DEPENDS += "qemu-native"

# By name, so that local.conf cannot leave a debugging feature in: this is all there is.
IMAGE_FEATURES = "read-only-rootfs"
IMAGE_LINGUAS = ""
# Nobody adds packages to a read-only system: updates are whole.
PACKAGE_EXCLUDE_COMPLEMENTARY = ".*"
# Marks each system good that gets as far as its unit: whether one is good is the daemon's to say.
BAD_RECOMMENDATIONS += "rauc-mark-good"

# Where this layer knows how a system is chosen at power-on; on others the packagegroups go into an image of one's own.
COMPATIBLE_MACHINE = "^(qemuarm64|rpi|rockchip)$"

FIELDCAST_FAMILY = ""
FIELDCAST_FAMILY:rpi = "packagegroup-fieldcast-raspberrypi"
FIELDCAST_FAMILY:rockchip = "packagegroup-fieldcast-rockchip"
IMAGE_INSTALL = "packagegroup-core-boot packagegroup-fieldcast-base ${FIELDCAST_FAMILY}"

# The slot's image for bundles, and a disk with it in its first slot.
IMAGE_FSTYPES = "${FIELDCAST_SLOT_TYPE} wic.zst wic.bmap"
# nooelint: oelint.vars.mispell,oelint.vars.specific - image.bbclass reads it, by the kind of image
IMAGE_TYPEDEP:wic = "${FIELDCAST_SLOT_TYPE}"
WKS_FILE = "fieldcast-${FIELDCAST_BOOT}.wks.in"
WKS_FILE:rockchip = "fieldcast-rockchip.wks.in"
# The tools for what the wks files name, and not the boot loaders of PCs.
WKS_FILE_DEPENDS = "bmaptool-native dosfstools-native e2fsprogs-native mtools-native squashfs-tools-native wic-native"
WKS_FILE_DEPENDS:append:rockchip = " virtual/bootloader"
IMAGE_BOOT_FILES:rockchip = "boot.scr"
IMAGE_ROOTFS_EXTRA_SPACE = "0"
IMAGE_OVERHEAD_FACTOR = "1.0"
do_image_wic[depends] += "${@'fieldcast-boot-script:do_deploy' if d.getVar('FIELDCAST_BOOT') == 'uboot' else 'fieldcast-initramfs:do_image_complete'}"

# Units are what the presets say and nothing else: packages enable their own when they are installed. Mounts are units too.
fieldcast_units[doc] = "Enables the units of the presets and no others."
fieldcast_units() {
    systemctl --root=${IMAGE_ROOTFS} preset-all
    : >${IMAGE_ROOTFS}${sysconfdir}/fstab
}
ROOTFS_POSTPROCESS_COMMAND:append = " fieldcast_units"

# GStreamer's registry of plugins, written by the system's own program in an emulator, when all times of files are final: they
# are in it.
GST_REGISTRY_FILE = "${nonarch_libdir}/fieldcast/gstreamer.registry"
fieldcast_registry[doc] = "Writes GStreamer's registry of plugins into the image."
fieldcast_registry() {
    rm -f ${IMAGE_ROOTFS}${GST_REGISTRY_FILE}
    GST_REGISTRY=${IMAGE_ROOTFS}${GST_REGISTRY_FILE} GST_REGISTRY_FORK=no HOME=${T} \
        ${@qemu_run_binary(d, '${IMAGE_ROOTFS}', '${bindir}/gst-inspect-1.0')} >${T}/gstreamer.elements
    for element in x264enc v4l2src voaacenc; do
        grep -q ": *$element:" ${T}/gstreamer.elements || bbfatal "$element is not in GStreamer's registry"
    done
    touch -d @${REPRODUCIBLE_TIMESTAMP_ROOTFS} ${IMAGE_ROOTFS}${GST_REGISTRY_FILE}
}
IMAGE_PREPROCESS_COMMAND:append = " fieldcast_registry"

# What must not be in an image that leaves the house.
fieldcast_locked[doc] = "Fails when the image lets anybody in."
python fieldcast_locked() {
    wrong = set(d.getVar('IMAGE_FEATURES').split()) - {'read-only-rootfs'}
    if wrong:
        bb.fatal('fieldcast-image has the features %s, which open it' % ' '.join(sorted(wrong)))
    for line in open(d.expand('${IMAGE_ROOTFS}${sysconfdir}/shadow')):
        name, password = line.split(':')[:2]
        if password not in ('*', '!', '!*', '!!', 'x'):
            bb.fatal('%s has a password' % name)
}
ROOTFS_POSTPROCESS_COMMAND:append = " fieldcast_locked"
