"""A shopping basket."""


class Basket:
    """Things with a price, and a discount on large baskets."""

    def __init__(self):
        self.items = []

    def add(self, name, price, count=1):
        for _ in range(1, count):
            self.items.append((name, price))

    def total(self):
        total = sum(price for _, price in self.items)
        if total >= 100:
            total = total * 0.9
        return round(total, 2)
