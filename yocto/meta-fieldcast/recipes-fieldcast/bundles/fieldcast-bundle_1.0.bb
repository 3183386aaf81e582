# nooelint: oelint.var.mandatoryvar.SRC_URI - it is made of an image
SUMMARY = "An update for a Fieldcast box"
DESCRIPTION = "A signed RAUC bundle of one slot. It goes on boards of its own kind only."
LICENSE = "MIT"

inherit bundle

RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_COMPATIBLE = "fieldcast-${FIELDCAST_BOARD}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_DESCRIPTION = "Fieldcast ${DISTRO_VERSION} for ${FIELDCAST_BOARD}"

RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs = "fieldcast-image"
RAUC_SLOT_rootfs[fstype] = "${FIELDCAST_SLOT_TYPE}"
# RAUC tells the kind of image by this name's end.
RAUC_SLOT_rootfs[rename] = "rootfs.${@d.getVar('FIELDCAST_SLOT_TYPE').split('-')[0]}"

# Made by yocto/dev-keys; those of releases are kept elsewhere and named in the build's configuration.
RAUC_KEY_FILE ?= "${FIELDCAST_KEYS}/development.key.pem"
RAUC_CERT_FILE ?= "${FIELDCAST_KEYS}/development.cert.pem"
RAUC_KEYRING_FILE ?= "${FIELDCAST_KEYS}/ca.cert.pem"
