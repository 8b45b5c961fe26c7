"""Selection: of candidates, best first, those that a shopper is shown."""

from collections.abc import Collection

from ml.recommendations.catalogue import Catalogue
from ml.recommendations.session_index import Candidate


class Selection:
    """Takes candidates until there are `most` that may be shown, of which half are of one category at most.

    Candidates beyond that half are postponed: they fill the places for which nothing of another category comes.
    """

    def __init__(self, catalogue: Catalogue, excluded: Collection[str], *, most: int, priced: bool) -> None:
        self._catalogue, self._excluded, self._most, self._priced = catalogue, excluded, most, priced
        self._most_alike = -(-most // 2)
        self._chosen: dict[str, Candidate] = {}
        self._postponed: dict[str, Candidate] = {}
        self._alike: dict[str | None, int] = {}
        self._families = {family for product in excluded if (family := catalogue.family(product)) is not None}

    @property
    def complete(self) -> bool:
        """Whether no further candidate can change it."""
        return len(self._chosen) >= self._most

    def consider(self, candidate: Candidate) -> None:
        """Take, postpone or leave out the next candidate."""
        product = candidate.product
        if product in self._chosen or product in self._excluded or not self._may_show(product):
            return
        category = self._catalogue.of(product).category
        if category is not None and self._alike.get(category, 0) >= self._most_alike:
            if len(self._postponed) < self._most * 2:
                self._postponed.setdefault(product, candidate)
        elif self._take(candidate):
            self._alike[category] = self._alike.get(category, 0) + 1

    def chosen(self) -> list[Candidate]:
        """What is shown, best first."""
        for candidate in self._postponed.values():
            if self.complete:
                break
            self._take(candidate)
        return list(self._chosen.values())

    def _take(self, candidate: Candidate) -> bool:
        """Choose it, unless a variant of it is chosen or excluded."""
        family = self._catalogue.family(candidate.product)
        if family is not None:
            if family in self._families:
                return False
            self._families.add(family)
        self._chosen[candidate.product] = candidate
        return True

    def _may_show(self, product: str) -> bool:
        if self._catalogue.withholds(product):
            return False
        return not self._priced or self._catalogue.of(product).price is not None
