SUMMARY = "The boot loader of boards whose own cannot choose between two systems"
DESCRIPTION = "busybox and the script slots: it chooses a slot, mounts it read-only and starts it."
LICENSE = "MIT"

inherit core-image

PACKAGE_INSTALL = "base-passwd fieldcast-initramfs-init ${VIRTUAL-RUNTIME_base-utils}"
PACKAGE_EXCLUDE = "kernel-image-*"
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_FSTYPES = "cpio.gz"
IMAGE_NAME_SUFFIX = ""
IMAGE_ROOTFS_SIZE = "8192"
IMAGE_ROOTFS_EXTRA_SPACE = "0"
