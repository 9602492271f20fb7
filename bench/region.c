// SPDX-License-Identifier: Apache-2.0
// Making a network namespace with a TUN device in it.
#include "bench/region.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// Packets that the device keeps until they are read: a burst at full bandwidth while its reader is
// not on a core.
#define KR_REGION_QUEUE 10000

static enum kr_err failed(struct fault *fault, const char *what)
{
    enum kr_err err = err_from_errno(errno);
    if (errno == EPERM || errno == EACCES)
        return fault_set(fault, KR_ERR_FORBIDDEN,
                         "%s: %s; network namespaces and TUN devices need root", what,
                         strerror(errno));
    if (errno == ENOENT || errno == ENODEV)
        return fault_set(fault, KR_ERR_NOT_FOUND, "%s: %s; this machine has no TUN devices", what,
                         strerror(errno));
    return fault_set(fault, err, "%s: %s", what, strerror(errno));
}

static bool set_flags_up(int fd, const char *device)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        return false;
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP | IFF_RUNNING);
    return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static bool set_address(int fd, const char *device, unsigned long what, const char *text)
{
    struct ifreq request = {0};
    struct sockaddr_in address = {.sin_family = AF_INET};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    inet_pton(AF_INET, text, &address.sin_addr);
    memcpy(&request.ifr_addr, &address, sizeof(address));
    return ioctl(fd, what, &request) == 0;
}

static bool set_number(int fd, const char *device, unsigned long what, int number)
{
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    request.ifr_mtu = number; // the same place as ifr_qlen
    return ioctl(fd, what, &request) == 0;
}

// The device has the region's first address and the way to all others. A network on the loopback
// device makes all addresses of the region its own.
static enum kr_err configure(const struct topology *topology, size_t number, struct fault *fault)
{
    char first[KR_TOPOLOGY_ADDRESS], local[KR_TOPOLOGY_ADDRESS];
    topology_address(topology, number, 1, first);
    topology_address(topology, number, 2, local);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_done = fd >= 0 && set_flags_up(fd, "lo") &&
                   set_address(fd, "lo:1", SIOCSIFADDR, local) &&
                   set_address(fd, "lo:1", SIOCSIFNETMASK, "255.255.255.0") &&
                   set_address(fd, "wan0", SIOCSIFADDR, first) &&
                   set_address(fd, "wan0", SIOCSIFNETMASK, "255.255.0.0") &&
                   set_number(fd, "wan0", SIOCSIFMTU, KR_REGION_MTU) && set_flags_up(fd, "wan0");
    // Root of a user namespace alone may not do this; the kernel's own, 500 packets, does as well
    // until there is much to carry.
    if (is_done)
        set_number(fd, "wan0", SIOCSIFTXQLEN, KR_REGION_QUEUE);
    enum kr_err err = is_done ? KR_ERR_OK : failed(fault, "the region's addresses");
    if (fd >= 0)
        close(fd);
    return err;
}

static enum kr_err make_device(struct region *region, struct fault *fault)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "wan0");
    region->tun_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (region->tun_fd < 0 || ioctl(region->tun_fd, TUNSETIFF, &request) != 0)
        return failed(fault, "/dev/net/tun");
    return KR_ERR_OK;
}

enum kr_err region_open(const struct topology *topology, size_t number, struct region *out,
                        struct fault *fault)
{
    *out = (struct region){.net_fd = -1, .tun_fd = -1};
    int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return failed(fault, "/proc/thread-self/ns/net");
    enum kr_err err = KR_ERR_OK;
    if (unshare(CLONE_NEWNET) != 0)
        err = failed(fault, "a network namespace");
    if (err == KR_ERR_OK) {
        out->net_fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        err = out->net_fd >= 0 ? make_device(out, fault) : failed(fault, "the new namespace");
        if (err == KR_ERR_OK)
            err = configure(topology, number, fault);
        if (setns(home, CLONE_NEWNET) != 0 && err == KR_ERR_OK)
            err = failed(fault, "back to the own namespace");
    }
    close(home);
    if (err != KR_ERR_OK)
        region_close(out);
    return err;
}

void region_close(struct region *region)
{
    if (region->tun_fd >= 0)
        close(region->tun_fd);
    if (region->net_fd >= 0)
        close(region->net_fd);
    *region = (struct region){.net_fd = -1, .tun_fd = -1};
}
