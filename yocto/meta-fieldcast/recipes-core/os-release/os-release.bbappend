# What updates compare: the daemon reads both.
OS_RELEASE_FIELDS:append:fieldcast-os = " IMAGE_ID IMAGE_VERSION"
OS_RELEASE_UNQUOTED_FIELDS:append:fieldcast-os = " IMAGE_ID IMAGE_VERSION"
IMAGE_ID:fieldcast-os = "fieldcast"
IMAGE_VERSION:fieldcast-os = "${DISTRO_VERSION}"
