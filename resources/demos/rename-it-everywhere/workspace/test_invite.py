import unittest

from invite import invitations


class InviteTest(unittest.TestCase):
    def test_each_guest_is_invited(self):
        self.assertEqual(len(invitations("Ada\n\nGrace\n")), 2)
