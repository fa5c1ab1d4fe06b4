"""Experience replay: show the critic old fakes again, so that the generator cannot return to old tricks."""

import torch

from gancore import Update, cached, component, hookimpl, option, state


@component(
    source="Shrivastava et al., CVPR 2017, arXiv:1612.07828, section 2.3; Vitter, ACM TOMS 1985, algorithm R; "
    "garridoq/gan-guide, the notebook on experience replay (extra-step)",
    known_as={"replay": "", "replay-buffer": "", "image-pool": ""},
)
class ExperienceReplay:
    """Replace a share of the fakes in each critic update by fakes of the past.

    The last round(share·N) rows of the fakes `[N, *shape]` become stored ones with their labels; then the first
    per_update fresh fakes are pushed. The n-th fake pushed takes a free place, or with probability capacity/n the
    place of a random stored one, so every past fake is still there with the same probability capacity/n (the source
    drops random ones instead, which favours recent fakes). Clean fakes are stored; noise and other views come after.
    Memory is capacity·C·H·W·4 bytes where the fakes lie: 201 MB at 4096 and 64×64×3.

    The mode `extra-step` is that of garridoq/gan-guide: each critic update pushes one random fake and shows all fresh
    ones; in the step in which `extra_after` were pushed, one more critic update comes last, shows the stored fakes
    alone, without reals, and empties the store. It holds `extra_after` fakes; of more, pushed by several critic updates
    in the last step or before `start`, a random part as above.
    """

    mode: str = option(
        "mix", choices=("mix", "extra-step"), help="show old fakes among the fresh ones, or alone in an extra update"
    )
    capacity: int = option(4096, ge=1, help="most fakes stored (mix)")
    share: float = option(0.25, ge=0, le=1, help="part of the fakes of a critic update that is replaced, 0 to 1 (mix)")
    start: int = option(0, ge=0, help="steps before replay begins; fakes are stored from step 0")
    per_update: int = option(8, ge=1, help="fresh fakes pushed in each critic update (mix)")
    extra_after: int = option(
        195, ge=1, help="fakes pushed between extra updates; the source takes half the batches of an epoch (extra-step)"
    )
    images: torch.Tensor | None = state()  # [room, *shape], of which `count` are filled
    labels: torch.Tensor | None = state()  # [room, L]
    count: int = state(0)
    seen: int = state(0)  # n, fakes pushed so far, or since the store was emptied
    ahead: int = cached(0)  # critic updates of this step that come before the extra one

    @hookimpl(trylast=True)  # so that the extra update comes last, and all others are counted
    def adapt_schedule(self, updates, step):
        if self.mode == "mix":
            return None
        self.ahead = sum(update.role != "generator" for update in updates)
        full = step >= self.start and self.seen + self.ahead >= self.extra_after
        return [*updates, Update("critic", reals=False)] if full else None

    @hookimpl
    def critic_fakes(self, images, labels, step, rng):
        if self.mode == "extra-step":
            return self.collect(images, labels, rng)
        if self.share == 0:
            return None
        self.reserve(images, labels)
        shown = self.mix(images, labels, rng) if step >= self.start else (images, labels)
        self.push(images[: self.per_update], labels[: self.per_update], rng)
        return shown

    def collect(self, images, labels, rng):
        """Push one random row of `images [N, *shape]`; in the extra update return all that is stored, and empty it."""
        self.reserve(images, labels)
        if not self.ahead:
            shown = self.images[: self.count].clone(), self.labels[: self.count].clone()
            self.count = self.seen = 0
            return shown
        self.ahead -= 1
        row = int(torch.randint(len(images), (), generator=rng))
        self.push(images[row : row + 1], labels[row : row + 1], rng)
        return None

    @property
    def room(self):
        """Places of the store."""
        return self.capacity if self.mode == "mix" else self.extra_after

    def mix(self, images, labels, rng):
        """Replace the last rows of `images [N, *shape]` and `labels [N, L]` by stored ones, each at most once."""
        old = torch.randperm(self.count, generator=rng)[: round(self.share * len(images))].to(images.device)
        fresh = len(images) - len(old)
        if fresh == len(images):
            return images, labels
        return torch.cat([images[:fresh], self.images[old]]), torch.cat([labels[:fresh], self.labels[old]])

    def push(self, images, labels, rng):
        """Offer copies of `images [n, *shape]` and `labels [n, L]` to the reservoir."""
        places = {}  # place → row; a later row takes the place of an earlier one
        for row, chance in enumerate(torch.rand(len(images), generator=rng, dtype=torch.float64).tolist()):
            self.seen += 1
            place = self.count if self.count < self.room else int(chance * self.seen)
            if place < self.room:
                places[place] = row
                self.count = max(self.count, place + 1)
        into, rows = (torch.tensor(list(each), dtype=torch.int64) for each in (places.keys(), places.values()))
        self.images[into] = images.detach()[rows]
        self.labels[into] = labels[rows]

    def reserve(self, images, labels):
        """Make room for samples like these, or bring what a resume gave back to their device."""
        free = self.images is None
        self.images = images.new_empty(self.room, *images.shape[1:]) if free else self.images.to(images)
        self.labels = labels.new_empty(self.room, *labels.shape[1:]) if free else self.labels.to(labels)

    def state_dict(self):
        """Return the state without the places of the store that are still free."""
        numbers = {"count": self.count, "seen": self.seen}
        if self.images is None:
            return numbers
        return {**numbers, "images": self.images[: self.count], "labels": self.labels[: self.count]}

    def load_state_dict(self, state):
        self.count = state["count"]
        self.seen = state["seen"]
        self.images = self.labels = None
        if "images" in state:
            self.reserve(state["images"], state["labels"])
            self.images[: self.count] = state["images"]
            self.labels[: self.count] = state["labels"]
