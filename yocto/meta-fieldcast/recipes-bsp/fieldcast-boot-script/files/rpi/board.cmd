# Raspberry Pi: the firmware leaves its device tree, with overlays and kernel arguments, at fdt_addr (board/raspberrypi/rpi/rpi.c).
setenv kernel Image
setenv arguments 'fdt addr ${fdt_addr}; fdt get value bootargs /chosen bootargs'
setenv start 'booti ${kernel_addr_r} - ${fdt_addr}'
