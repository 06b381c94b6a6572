"""Indexes over the journal that are brought up to date when somebody asks."""

from service.portal.book import Book, Change


class JournalReader:
    """Reads each change of a book once, in order; `catch_up` wants the portal's lock held."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._position = 0

    def catch_up(self) -> None:
        """Read what was added to the journal since the last time."""
        journal = self.book.journal
        for number in range(self._position, len(journal)):
            self.read(number, journal[number])
        self._position = len(journal)

    def read(self, number: int, change: Change) -> None:
        """Take in one change; `number` is its place in the journal."""
        raise NotImplementedError
