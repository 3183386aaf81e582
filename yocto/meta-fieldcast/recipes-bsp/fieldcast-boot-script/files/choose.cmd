# Chooses the system that starts. The variables are RAUC's (src/bootloaders/uboot.c): BOOT_ORDER names the systems, best first;
# BOOT_A_LEFT and BOOT_B_LEFT say how often each may still be tried. RAUC gives a system that it has just written 3 tries, and
# one that was found good 9 (boot-attempts-primary and boot-attempts in system.conf). Only 3 and fewer are counted down, so
# power cuts never use up a good system, and a start of one writes nothing.
if test -z "${BOOT_ORDER}"; then
  # A new card: the second system is empty. RAUC's tools need an environment that was saved once.
  setenv BOOT_ORDER "A B"
  setenv BOOT_A_LEFT 9
  setenv BOOT_B_LEFT 0
  saveenv
fi

setenv slot
for candidate in ${BOOT_ORDER}; do
  if test -z "${slot}"; then
    if test "${candidate}" = A; then
      setenv left ${BOOT_A_LEFT}
      setenv root rootfs-a
    else
      setenv left ${BOOT_B_LEFT}
      setenv root rootfs-b
    fi
    if itest ${left} -gt 0; then
      if itest ${left} -le 3; then
        setexpr left ${left} - 1
        setenv BOOT_${candidate}_LEFT ${left}
        saveenv
      fi
      # One that cannot be read is passed over.
      if part number ${devtype} ${devnum} ${root} number; then
        if load ${devtype} ${devnum}:${number} ${kernel_addr_r} /boot/${kernel}; then
          setenv slot ${candidate}
        fi
      fi
    fi
  fi
done

if test -z "${slot}"; then
  echo "No system is left to start: both are tried again"
  setenv BOOT_ORDER "A B"
  setenv BOOT_A_LEFT 3
  setenv BOOT_B_LEFT 3
  saveenv
  reset
fi

echo "Starting system ${slot}"
run arguments
setenv bootargs "${bootargs} root=PARTLABEL=${root} ro rootfstype=ext4 rootwait rauc.slot=${slot} panic=5"
run start
# It was no kernel.
reset
