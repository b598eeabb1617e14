"""Reads the sensor on the serial port."""


def read_celsius(port):
    raw = port.read(2)
    return int.from_bytes(raw, "big", signed=True) / 10
