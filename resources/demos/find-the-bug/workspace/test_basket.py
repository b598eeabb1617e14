import unittest

from basket import Basket


class BasketTest(unittest.TestCase):
    def test_one_thing(self):
        basket = Basket()
        basket.add("bread", 3.5)
        self.assertEqual(basket.total(), 3.5)

    def test_several_of_a_kind(self):
        basket = Basket()
        basket.add("roll", 0.5, count=4)
        self.assertEqual(basket.total(), 2.0)

    def test_discount(self):
        basket = Basket()
        basket.add("cake", 50, count=2)
        self.assertEqual(basket.total(), 90.0)
