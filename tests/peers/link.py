"""A bad network between two TUN devices: packets get lost, come twice, late, in another order, or with
a bit that has flipped, and only so many bytes a second get through.

It prints READY once both devices are there, and ends, with them, when its standard input does. SIGSTOP
cuts the line.
"""

import argparse
import fcntl
import heapq
import os
import random
import selectors
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000

MTU = 1500
"""Bytes that may wait for a narrow link, as in a router with little memory."""
QUEUE = 64 * 1024


def device(name):
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return tun


class Way:
    """One direction."""

    def __init__(self, to, options, seed):
        self.to = to
        self.options = options
        self.random = random.Random(seed)
        self.free = 0.0  # when what was accepted before has left
        self.due = []
        self.number = 0

    def accept(self, packet, now):
        options = self.options
        happens = lambda rate: self.random.random() < rate
        # All draws, whatever comes of them: what happens to a packet does not depend on the clock.
        lost, twice, late, flipped = map(
            happens, (options.loss, options.twice, options.late, options.flip)
        )
        jitter = self.random.random() * options.jitter
        bit = self.random.randrange(8 * len(packet))
        if options.rate:
            waiting = max(self.free - now, 0.0) * options.rate
            if waiting > QUEUE:
                return
            self.free = max(self.free, now) + len(packet) / options.rate
        if lost:
            return
        if flipped:
            damaged = bytearray(packet)
            damaged[bit // 8] ^= 1 << bit % 8
            packet = bytes(damaged)
        at = max(self.free, now) + options.delay + jitter
        if late:
            at += 2 * options.delay + 0.005
        for _ in range(2 if twice else 1):
            self.number += 1
            heapq.heappush(self.due, (at, self.number, packet))

    def forward(self, now):
        while self.due and self.due[0][0] <= now:
            _, _, packet = heapq.heappop(self.due)
            try:
                os.write(self.to, packet)
            except OSError:
                pass  # A damaged head, or no room: lost.


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("devices", nargs=2)
    parser.add_argument("--seed", type=int, default=1)
    for rate in ("--loss", "--twice", "--late", "--flip"):
        parser.add_argument(rate, type=float, default=0.0)
    for seconds in ("--delay", "--jitter"):
        parser.add_argument(seconds, type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=0.0, help="bytes a second")
    options = parser.parse_args()

    ends = [device(name) for name in options.devices]
    ways = [Way(ends[1], options, options.seed), Way(ends[0], options, options.seed + 1)]
    selector = selectors.DefaultSelector()
    for end, way in zip(ends, ways):
        selector.register(end, selectors.EVENT_READ, way)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("READY", flush=True)
    while True:
        due = [way.due[0][0] for way in ways if way.due]
        wait = max(min(due) - time.monotonic(), 0.0) if due else None
        for key, _ in selector.select(wait):
            if key.data is None:
                return
            try:
                while True:
                    key.data.accept(os.read(key.fd, MTU), time.monotonic())
            except OSError:
                pass  # Empty, or not up yet.
        for way in ways:
            way.forward(time.monotonic())


main()
