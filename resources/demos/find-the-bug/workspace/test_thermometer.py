import unittest

from thermometer import to_fahrenheit, weather_line


class ThermometerTest(unittest.TestCase):
    def test_water_boils(self):
        self.assertEqual(to_fahrenheit(100), 212)

    def test_water_freezes(self):
        self.assertEqual(to_fahrenheit(0), 32)

    def test_the_notice_board(self):
        self.assertEqual(weather_line("Oslo", 10), "Oslo: 10 °C (50 °F)")
