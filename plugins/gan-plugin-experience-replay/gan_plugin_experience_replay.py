"""Experience replay: train the critic on stored fakes of earlier generators too."""

import torch

from gancore import Update, cached, component, hookimpl, option, state


@component(
    source="Shrivastava et al., CVPR 2017, arXiv:1612.07828, section 2.3; Vitter, ACM TOMS 1985, "
    "algorithm R; garridoq/gan-guide, the notebook on experience replay (extra-step)",
    known_as={"replay": "", "replay-buffer": "", "image-pool": ""},
)
class ExperienceReplay:
    """Replace a share of the fakes in each critic update by stored fakes of earlier steps.

    The last round(share·N) rows of the fakes `[N, *shape]` are replaced by stored fakes with their
    labels; then the first per_update fresh fakes are stored by reservoir sampling: the n-th fake
    fills a free place, or with probability capacity/n replaces a random stored one. So each past
    fake is stored with equal probability capacity/n (the source replaces random ones instead, which
    favours recent fakes). Fakes are stored before noise and other views. Memory is
    capacity·C·H·W·4 bytes on the device of the fakes: 201 MB at 4096 and 64×64×3.

    The mode `extra-step` follows garridoq/gan-guide: each critic update stores one random fake and
    uses all fresh ones; in the step in which the `extra_after`-th is stored, an extra critic update
    comes last, uses the stored fakes alone, without reals, and empties the buffer. The buffer holds
    `extra_after` fakes; when more are offered, by several critic updates in the last step or before
    `start`, it keeps a random subset as above.
    """

    mode: str = option(
        "mix",
        choices=("mix", "extra-step"),
        help="use stored fakes among the fresh ones, or alone in an extra update",
    )
    capacity: int = option(4096, ge=1, help="most fakes stored (mix)")
    share: float = option(
        0.25,
        ge=0,
        le=1,
        help="share of the fakes of a critic update that is replaced, 0 to 1 (mix)",
    )
    start: int = option(0, ge=0, help="steps before replay begins; fakes are stored from step 0")
    per_update: int = option(8, ge=1, help="fresh fakes stored in each critic update (mix)")
    extra_after: int = option(
        195,
        ge=1,
        help="fakes stored between extra updates (extra-step); source: half the batches",
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
        """Store one random row of `images [N, *shape]`.

        In the extra update, return all stored fakes and empty the buffer.
        """
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
        """Number of fakes that the buffer holds at most."""
        return self.capacity if self.mode == "mix" else self.extra_after

    def mix(self, images, labels, rng):
        """Replace the last rows of `images [N, *shape]` and `labels [N, L]` by stored ones.

        Stored rows are drawn without replacement.
        """
        wanted = round(self.share * len(images))
        old = torch.randperm(self.count, generator=rng)[:wanted].to(images.device)
        if not len(old):
            return images, labels
        fresh = len(images) - len(old)
        mixed_images = torch.cat([images[:fresh], self.images[old]])
        mixed_labels = torch.cat([labels[:fresh], self.labels[old]])
        return mixed_images, mixed_labels

    def push(self, images, labels, rng):
        """Store copies of `images [n, *shape]` and `labels [n, L]` by reservoir sampling."""
        places = {}  # place → row; a later row replaces an earlier one
        # float64, as float32 cannot tell places apart once 2²⁴ fakes were pushed
        draws = torch.rand(len(images), generator=rng, dtype=torch.float64).tolist()
        for row, draw in enumerate(draws):
            self.seen += 1
            place = self.count if self.count < self.room else int(draw * self.seen)
            if place < self.room:
                places[place] = row
                self.count = max(self.count, place + 1)
        into = torch.tensor(list(places.keys()), dtype=torch.int64)
        rows = torch.tensor(list(places.values()), dtype=torch.int64)
        self.images[into] = images.detach()[rows]
        self.labels[into] = labels[rows]

    def reserve(self, images, labels):
        """Allocate the buffer, or move a restored one to the device of the samples."""
        free = self.images is None
        self.images = (
            images.new_empty(self.room, *images.shape[1:]) if free else self.images.to(images)
        )
        self.labels = (
            labels.new_empty(self.room, *labels.shape[1:]) if free else self.labels.to(labels)
        )

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
