# Sourced by the scripts that make something expensive: where such things are kept, so that they are made once.
#
# Everything under the cache can be deleted at any time and is made again from nothing. Each entry is named after a hash
# of what it was made from, so that a change of the inputs makes a new entry and two branches do not fight over one.
# shellcheck shell=bash

# A build that fails in $(...) is a failure too.
shopt -s inherit_errexit

cache=${FIELDCAST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fieldcast}

# Debian's release and the machine's own package sources: mirrors and proxies are its business, not the project's.
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    if grep -Eqs "^[^#]*[[:space:]]$suite([[:space:]]|$)" "$file" && grep -Eqs '^[^#]*[[:space:]]main([[:space:]]|$)' "$file"; then
        sources+=("$file")
    fi
done
# What the sources say, for the names of cache entries.
sources_text() { cat "${sources[@]}"; }

sudo() { if [ "$(id -u)" = 0 ]; then "$@"; else command sudo "$@"; fi; }

# debian_tree FOLDER PACKAGES: unpacks Debian's arm64 packages there. A mirror that stumbles is asked again.
debian_tree() {
    local try
    for try in 1 2 3; do
        sudo rm -rf "$1"
        sudo mmdebstrap --quiet --arch=arm64 --variant=extract --include="$2" "$suite" "$1" "${sources[@]}" && return
        sleep $((try * 5))
    done
    return 1
}

# cached NAME INPUTS BUILD: prints the folder NAME-<hash of INPUTS>; when there is none yet, `BUILD FOLDER` fills a
# temporary one that gets the name only when it is complete. A lock keeps two builds of the same thing apart.
cached() {
    local name=$1 inputs=$2 build=$3 entry
    entry=$cache/$name-$(printf '%s' "$inputs" | sha256sum | cut -c 1-16)
    mkdir -p "$cache"
    (
        exec 9>"$entry.lock"
        flock -w 1800 9 || { echo "another build of $entry does not end" >&2; exit 1; }
        if [ ! -d "$entry" ]; then
            rm -rf "$entry.part"
            mkdir "$entry.part"
            "$build" "$entry.part" >&2
            mv "$entry.part" "$entry"
            # Entries of this name that nobody has used for two weeks only fill the disk.
            find "$cache" -maxdepth 1 -name "$name-????????????????*" -mtime +14 -exec rm -rf {} +
        fi
        touch "$entry"
    )
    echo "$entry"
}
