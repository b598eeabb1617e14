import unittest

from roman import to_roman


class RomanTest(unittest.TestCase):
    def test_one(self):
        self.assertEqual(to_roman(1), "I")
