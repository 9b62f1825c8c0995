"""From raw archives to packs: acquire, convert, overlap, split, certify, augment, pack."""
