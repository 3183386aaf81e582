# Rockchip: kernel and device tree are one FIT image (rockchip-fitimage.inc of meta-rockchip).
setenv kernel fitImage
setenv arguments 'setenv bootargs @CONSOLE@'
setenv start 'bootm ${kernel_addr_r}'
