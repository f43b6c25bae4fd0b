FROM scratch
ADD rootfs-arm64.tar /
RUN ["/bin/busybox", "--install", "-s", "/bin"]
CMD ["/bin/sh"]
