"""Which product earned the most?

sales.csv has a header line and the columns date, product, count, price.
"""

import csv
