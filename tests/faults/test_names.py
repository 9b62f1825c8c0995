"""Names of files and folders as people give them: what the conversion takes passes every stage unchanged."""


def test_a_circled_digit_is_no_number(plant, said):
    plates = plant.draw(count=3)
    for path in [*plates.rglob("plate_0.*")]:
        path.rename(path.with_name("①" + path.suffix))
    data = plant.convert("plates")
    assert said(data / "conversion.json")["images"] == 3
