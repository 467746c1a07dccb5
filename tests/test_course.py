"""The course: no solution reaches students, none is lost for instructors, the slides open."""

from __future__ import annotations

import base64
import html
import io
import re
import runpy
import subprocess
from pathlib import Path

import nbformat
import pytest
from browser import chromium, console_errors, needs_browser, served, settle
from PIL import Image

from align import losses
from book.tools import build, check_pages, course, execute, minutes, plain, project, slides

NOTEBOOKS = project.notebooks()
PROJECT = course.PROJECT
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course, made from the chapters as they are, with the last build's figures if any."""
    output = tmp_path_factory.mktemp("course")
    counts = course.make(output, project.ROOT / "_build" / ".jupyter_cache")
    assert counts["notebooks"] == len(NOTEBOOKS) and counts["decks"] == len(course.parts())
    return output


def version(made: Path, kind: str, path: Path):
    return nbformat.read(made / kind / path.relative_to(project.ROOT / "book"), as_version=4)


def words(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def solutions(path: Path) -> list[str]:
    """Each line that stands in a solution of the source, text or code."""
    found, inside = [], False
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            answers = inside or plain.SOLUTION in cell.metadata.get("tags", [])
            found += cell.source.splitlines() if answers else []
            continue
        for part in plain.split(cell.source):
            name = getattr(part, "name", "")
            inside = (inside or name == "solution-start") and name != "solution-end"
            if name == "solution":
                found += part.body.splitlines()
    return [line.strip() for line in found if len(line.strip()) > 40]


@each
def test_students_see_no_solution_and_instructors_see_every_one(made, path):
    student, instructor = (words(version(made, kind, path)) for kind in ("student", "instructor"))
    wanted = solutions(path)
    assert wanted, "a chapter has exercises"
    plain_lines = [line for line in wanted if "{" not in line and "](" not in line]
    assert [line for line in plain_lines if line in student] == []
    assert [line for line in plain_lines if line not in instructor] == []
    assert '<details class="quiz">' not in student
    assert instructor.count("**Solution.**") == student.count("### Exercise") > 0


@each
def test_both_versions_are_plain_markdown_and_hold_the_same_code(made, path):
    source = nbformat.read(path, as_version=4)
    for kind in ("student", "instructor"):
        notebook = version(made, kind, path)
        text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        assert not re.search(r"^(`{3,}|:{3,})\{", text, re.MULTILINE)
        assert not re.search(r"\{[\w:]+\}`", text)
        assert not re.search(r"\$\$ \(eq-", text)
        codes = [c.source for c in notebook.cells if c.cell_type == "code"]
        all_codes = [c.source for c in source.cells if c.cell_type == "code"]
        assert [code for code in all_codes if code in codes] == codes
        assert codes[0] == all_codes[0], "the first cell still fetches what is missing"
        # A student's version lacks the code of solutions, where a chapter's solution has any.
        written = "\n".join(c.source for c in source.cells if c.cell_type == "markdown")
        tags = [tag for c in source.cells for tag in c.metadata.get("tags", [])]
        answered = "{solution-start}" in written or plain.SOLUTION in tags
        withheld = kind == "student" and answered
        assert withheld == (codes != all_codes)


def test_references_become_numbers_and_names():
    book = plain.Book(
        {
            "eq-a": plain.Label("(3)", "book/x.ipynb"),
            "thm-b": plain.Label("Theorem 1", "book/y.ipynb"),
        },
        {"book/x.ipynb": "Here", "book/y.ipynb": "There"},
        {"lee2020": ("Lee et al.", "2020")},
    )
    here = plain.Plain(book, "book/x.ipynb")
    text = here.text("By {eq}`eq-a`, {prf:ref}`thm-b` and {cite:t}`lee2020`, see [](y.ipynb).")
    assert text == "By (3), Theorem 1 of *There* and Lee et al. (2020), see [There](y.ipynb)."
    assert here.text("$$\nx=1\n$$ (eq-a)") == "$$\nx=1 \\tag{3}\n$$"
    assert here.text("[table](notation.md)") == "table"


def test_a_notebook_of_the_course_holds_the_measured_minutes_as_a_table(made):
    for kind in ("student", "instructor"):
        (table,) = (
            cell.source
            for cell in version(made, kind, project.ROOT / "book" / "train_on_a_gpu.ipynb").cells
            if cell.source.startswith("| chapter | minutes")
        )
        head, chapters, notes = minutes.shown(minutes.recorded())
        assert table.splitlines()[0] == f"| {' | '.join(head)} |"
        assert len(re.findall(r"(?m)^\| ", table)) == 2 + len(chapters)
        assert table.endswith(notes[-1])


def test_links_to_sections_lead_to_their_notebooks(tmp_path):
    targets = {"sec-here": "book/x.ipynb", "sec-there": "book/theory/y.ipynb"}
    book = plain.Book({}, {}, {}, targets)
    here = plain.Plain(book, "book/x.ipynb")
    assert here.text("(sec-here)=\n## Here") == "## Here"
    assert here.text("See [below](sec-here), [there](sec-there).") == (
        "See below, [there](theory/y.ipynb)."
    )
    deeper = plain.Plain(book, "book/benchmark/z.ipynb")
    assert deeper.text("[there](sec-there)") == "[there](../theory/y.ipynb)"
    path = tmp_path / "z.ipynb"
    cells = [nbformat.v4.new_markdown_cell(text) for text in ("# Z", "(sec-z)=\n## A section")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    read = plain.read_book([path], tmp_path, course.BIBLIOGRAPHY)
    assert read.sections == {"sec-z": "z.ipynb"}


def test_a_solution_that_is_not_marked_as_one_would_be_noticed(made):
    """The control: the same notebook, exercises and solutions unmarked, leaks."""
    path = NOTEBOOKS[0]
    source = nbformat.read(path, as_version=4)
    for cell in source.cells:
        cell.source = cell.source.replace("{solution}", "{note}").replace("solution-start", "note")
    book = plain.read_book(NOTEBOOKS, project.ROOT, course.BIBLIOGRAPHY)
    leaky = plain.version(source, book, path.relative_to(project.ROOT).as_posix(), solutions=False)
    assert any(line in words(leaky) for line in solutions(path))


def test_slides_say_what_the_chapters_claim_and_fetch_nothing(made):
    for part, paths in course.parts().items():
        deck = (made / "slides" / course.deck_name(part)).read_text(encoding="utf-8")
        for path in paths:
            title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].lstrip("# ")
            assert title in deck, f"{part}: {title}"
        assert not re.search(r'(src|href)="https?://[^"]*\.(js|css)', deck)
        assert "def solved" not in deck and 'class="notes"' in deck
        assert "No description has been provided" not in deck  # said of a picture without a text
        beside = re.findall(r'<a [^>]*href="(?!https?:|#|mailto:)([^"#]+)', deck)
        assert all((made / "slides" / link).exists() for link in beside), (part, beside)


PICTURE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)


@pytest.fixture
def built(tmp_path, monkeypatch):
    """Build one chapter as `make book` does, with neither kernel nor pages.

    Give the data of each cell's output. The sources change while the pages are rendered.
    """
    path, site = NOTEBOOKS[0], tmp_path / "_build" / "html"

    def built(data: dict[str, str]) -> tuple[int, Path]:
        def filled(notebooks, cache, key, workers):
            run = project.notebook(path)
            for cell in (cell for cell in run.cells if cell.cell_type == "code"):
                cell.outputs = [nbformat.v4.new_output("display_data", data)]
            execute.keep(cache, path, run)
            (cache / "key.txt").write_text(key)
            return True

        def rendered(command, **_):
            site.mkdir(parents=True)
            monkeypatch.setattr(project, "fingerprint", lambda **_: "after")
            return subprocess.CompletedProcess(command, 0)

        monkeypatch.setattr(project, "fingerprint", lambda **_: "before")
        monkeypatch.setattr(execute, "environment", lambda *_: {})
        monkeypatch.setattr(execute, "cached", filled)
        monkeypatch.setattr(build.subprocess, "run", rendered)
        monkeypatch.setattr(check_pages, "problems", lambda *_: [])
        monkeypatch.setattr(course, "parts", lambda: {"Start": [path]})
        return build.build("smoke", tmp_path, 1), site

    return built


def test_slides_keep_the_figures_of_a_build_while_sources_change(built):
    status, site = built({"image/png": PICTURE})
    assert status == 0 and (site / build.STAMP).is_file()
    assert PICTURE in (site / course.SLIDES / "start.html").read_text(encoding="utf-8")


def test_a_build_whose_slides_have_no_figure_fails_and_says_so(built, capsys):
    status, site = built({"text/plain": "nothing to see"})
    assert status == 1 and not (site / build.STAMP).exists()
    assert "slides: no deck has a figure" in capsys.readouterr().err


@needs_browser
def test_slides_open_typeset_and_move(made):
    with served(made / "slides") as address, chromium() as driver:
        driver.set_window_size(1280, 800)
        for part in course.parts():
            driver.get(f"{address}/{course.deck_name(part)}")
            ready = "const done = arguments[0]; const look = () => window.Reveal && "
            ready += "Reveal.isReady() && window.MathJax && MathJax.startup.promise ? "
            ready += "MathJax.startup.promise.then(() => done(Reveal.getTotalSlides())) : "
            ready += "setTimeout(look, 50); look();"
            driver.set_script_timeout(30)
            assert driver.execute_async_script(ready) > 5
            assert (
                driver.execute_script("return document.querySelectorAll('mjx-merror').length") == 0
            )
            driver.execute_script("Reveal.next()")
            assert driver.execute_script("return Reveal.getIndices()") != {"h": 0, "v": 0}
            assert console_errors(driver) == []


CUT = """
const done = arguments[0];
const walk = async () => {
    const cut = [];
    for (const slide of document.querySelectorAll(".slides section:not(:has(section))")) {
        const at = Reveal.getIndices(slide);
        Reveal.slide(at.h, at.v);
        while (Reveal.availableFragments().next) Reveal.nextFragment();
        await MathJax.startup.promise;
        await new Promise(requestAnimationFrame);
        if (slide.scrollHeight > 722 || slide.scrollWidth > 1102) {
            const words = slide.innerText.slice(0, 60);
            cut.push(`${words}: ${slide.scrollWidth} x ${slide.scrollHeight}`);
        }
        for (const image of slide.querySelectorAll(".jp-RenderedImage img")) {
            const share = image.offsetWidth / image.naturalWidth;
            if (share < 0.74) cut.push(`a picture at ${share} of its size: ${image.alt}`);
        }
        if (slide.querySelector("table") && parseFloat(slide.style.fontSize) < 70)
            cut.push(`a table in letters of ${slide.style.fontSize}`);
        for (const box of slide.querySelectorAll(".jp-MarkdownOutput")) {
            const scrolls = ["auto", "scroll"].includes(getComputedStyle(box).overflowY);
            if (scrolls && box.clientHeight && box.scrollHeight > box.clientHeight)
                cut.push(`a scroll bar beside: ${box.innerText.slice(0, 60)}`);
        }
    }
    done([cut, parseFloat(getComputedStyle(document.querySelector(".reveal")).fontSize)]);
};
walk();
"""


@needs_browser
@pytest.mark.parametrize("part", course.parts())
def test_every_slide_fits_its_room(made, part):
    with served(made / "slides") as address, chromium() as driver:
        driver.set_window_size(1280, 800)
        driver.get(f"{address}/{course.deck_name(part)}")
        settle(driver)
        driver.set_script_timeout(180)
        cut, size = driver.execute_async_script(CUT)
        assert cut == [] and size == 30  # the theme would have larger letters and capitals


ROWS = 45
PICTURES = {"low": (743, 400), "tall": (743, 900), "taller": (743, 1369), "strip": (480, 1500)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one deck: pictures of several heights under long captions, a long table."""
    cells, labels = [nbformat.v4.new_markdown_cell("# A chapter\n\nA claim.\n\n## Look")], {}
    for name, room in PICTURES.items():
        file = io.BytesIO()
        Image.new("L", room, "lightgrey").save(file, "PNG")
        data = {"image/png": base64.b64encode(file.getvalue()).decode()}
        output = nbformat.v4.new_output("display_data", data)
        cell = nbformat.v4.new_code_cell("1", outputs=[output])
        cell.metadata["mystnb"] = {"figure": {"name": name, "caption": "What is seen. " * 30}}
        cell.metadata["mystnb"]["image"] = {"alt": name}
        cells.append(cell)
        labels[name] = plain.Label(f"Figure {len(cells)}", "book/x.ipynb")
    rows = "".join(f"<tr><th>row {row}</th><td>0.5</td></tr>" for row in range(ROWS))
    table = {"text/html": f"<table><thead><tr><th>a</th></tr></thead><tbody>{rows}</tbody></table>"}
    output = nbformat.v4.new_output("display_data", table)
    cells.append(nbformat.v4.new_code_cell("2", outputs=[output]))
    folder = tmp_path_factory.mktemp("drawn")
    slides.assets(folder)
    notebook = nbformat.v4.new_notebook(cells=cells)
    book = plain.Book(labels, {"book/x.ipynb": "A chapter"}, {})
    slides.write("Drawn", [("book/x.ipynb", notebook)], book, folder / "drawn.html")
    return folder


@needs_browser
def test_tall_pictures_are_shown_whole_in_their_size_and_long_tables_by_their_first_rows(drawn):
    with served(drawn) as address, chromium() as driver:
        driver.set_window_size(1280, 800)
        driver.get(f"{address}/drawn.html")
        settle(driver)
        cut, _ = driver.execute_async_script(CUT)
        assert cut == []
        seen = driver.execute_script(
            "return [...document.querySelectorAll('.jp-RenderedImage img')].map((image) => "
            "[image.alt.split(' ')[0], image.offsetHeight, image.parentElement.clientHeight])"
        )
        for name in PICTURES:
            whole = {height for alt, height, _ in seen if alt == name}
            assert len(whole) == 1 and sum(h for alt, _, h in seen if alt == name) >= min(whole)
        assert [alt for alt, *_ in seen] == ["low", "tall", "taller", "taller", "strip", "strip"]
        rows = driver.execute_script(
            "return [...document.querySelectorAll('tbody tr')].filter((row) => !row.hidden)"
            ".map((row) => row.textContent)"
        )
        assert rows[0].startswith("row 0") and 10 < len(rows) < ROWS
        assert rows[-1] == f"Further rows on the page: {ROWS - len(rows) + 1}"


@needs_browser
def test_each_slide_is_printed_whole_on_one_sheet(drawn):
    with served(drawn) as address, chromium() as driver:
        driver.get(f"{address}/drawn.html?print-pdf")
        driver.set_script_timeout(30)
        sheets, beyond = driver.execute_async_script("""
            const done = arguments[0];
            const look = () => {
                if (!document.body.dataset.printable) return setTimeout(look, 50);
                const sheets = [...document.querySelectorAll(".pdf-page")];
                const beyond = sheets.filter((sheet) => {
                    const slide = sheet.querySelector("section");
                    const top = slide.offsetTop, height = slide.scrollHeight;
                    return sheet.clientHeight > 750 || top < 0 || height > 722
                        || top + height > sheet.clientHeight;
                });
                done([sheets.length, beyond.map((sheet) => sheet.innerText.slice(0, 60))]);
            };
            look();
        """)
        assert beyond == []
        assert sheets == driver.execute_script("return Reveal.getTotalSlides()")


def test_numbers_are_those_of_the_pages(site):
    """A room that reads "Theorem 4" on a slide finds Theorem 4 in the book."""
    book = plain.read_book(NOTEBOOKS, project.ROOT, course.BIBLIOGRAPHY)
    pages = {path: (site / f"{project.page(path)}.html").read_text("utf-8") for path in NOTEBOOKS}
    compared = set()
    for name, label in book.labels.items():
        kind = label.words.split()[0]
        if kind == "Solution":
            continue
        page = pages[project.ROOT / label.page]
        found = re.search(
            rf'id="(?:equation-)?{name}".*?class="(?:eqno|caption-number)">([^<]+)', page, re.DOTALL
        )
        assert found, name
        assert found[1].strip() == label.words.replace("Figure", "Fig."), name
        compared.add(kind[:1] if kind.startswith("(") else kind)
    assert {"(", "Figure", "Theorem", "Proposition", "Exercise"} <= compared


def test_students_get_the_project_without_its_answers(made):
    student = {p.name for p in (made / "student" / "project").iterdir()}
    assert student == {"README.md", "starter.py", "grade.py"}
    assert "reference.py" in {p.name for p in (made / "instructor" / "project").iterdir()}


def test_only_instructors_read_how_the_project_is_graded(made):
    tasks = {kind: made / kind / "project" / "README.md" for kind in ("student", "instructor")}
    student, instructor = (path.read_text(encoding="utf-8") for path in tasks.values())
    assert instructor.startswith(student.rstrip())
    for words in (f"## {course.UNSEEN}", "a full answer", "instructor/project", "--json"):
        assert words in instructor and words not in student, words


def test_a_task_without_a_section_for_instructors_is_not_given_out(tmp_path, monkeypatch):
    page, label = course.TASK
    renamed = tmp_path / page.name
    text = page.read_text(encoding="utf-8")
    renamed.write_text(text.replace(f"### {course.UNSEEN}", "### For teachers"), encoding="utf-8")
    monkeypatch.setattr(course, "TASK", (renamed, label))
    with pytest.raises(ValueError, match="no heading 'For instructors'"):
        course._task(plain.Book({}, {}, {}), "student")


def test_the_index_says_how_to_start_and_each_of_its_links_leads_somewhere(made):
    page = (made / "index.html").read_text(encoding="utf-8")
    said = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "after make setup, then run .venv/bin/jupyter lab course/student" in said
    assert "in the book under Teaching" in said
    links = re.findall(r'href="([^"]+)"', page)
    assert {f"{kind}/project/README.md" for kind in ("student", "instructor")} <= set(links)
    assert all((made / link).exists() for link in links)


def test_the_labs_sheet_is_for_instructors_whole_and_its_links_lead_to_notebooks(made):
    sheet = made / "instructor" / "teaching" / "lab.md"
    assert not (made / "student" / "teaching").exists()
    text = sheet.read_text(encoding="utf-8")
    assert re.findall(r"(?m)^#+ (.+)$", text) == re.findall(
        r"(?m)^#+ (.+)$", course.LAB.read_text(encoding="utf-8")
    )
    minutes = [int(found) for found in re.findall(r"(?m)^\| (\d+) \|", text)]
    assert len(minutes) > 3 and sum(minutes) == 90
    assert "<!--" not in text and "(sec-" not in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert "../gallery.ipynb" in links
    address = project.config()["repository"]["url"]
    assert f"git clone {address} align-book" in text and "ADDRESS" not in text
    assert "{numref}" not in text and "hand-in" in text.rpartition("\n| 10 |")[2]
    assert all((sheet.parent / link).is_file() for link in links)
    printed = sheet.with_suffix(".html").read_text(encoding="utf-8")
    assert "<title>One lab of 90 minutes</title>" in printed
    assert printed.count("<tr>") == 1 + len(minutes) and "| 10 |" not in printed


def test_each_question_has_a_place_of_its_own_for_its_answer(made):
    for notebook in (made / "student").rglob("*.ipynb"):
        for cell in nbformat.read(notebook, 4).cells:
            if cell.cell_type == "markdown":
                assert not re.search(rf"{re.escape(plain.YOUR_ANSWER)}\n\S", cell.source), notebook


@pytest.mark.parametrize("kind", ["student", "instructor"])
def test_the_projects_task_lies_beside_it_whole_and_its_links_lead_to_notebooks(made, kind):
    task = made / kind / "project" / "README.md"
    text = task.read_text(encoding="utf-8")
    headings = re.findall(r"(?m)^(#+) (.+)$", text)
    assert headings[0] == ("#", "A project: judge a mask, use a mask, doubt a result")
    assert ("##", "Rubric for the report") in headings and "Diagnostic question" not in text
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links and all((task.parent / link).is_file() for link in links)


GRADER = runpy.run_path(str(PROJECT / "grade.py"))
REFERENCE = (PROJECT / "reference.py").read_text()
WRONG = {
    "leak": [("return low", "return low / 2"), ("return low", "return 0.0")],
    "loss": [
        ("* (1 - cells)", "* cells"),
        ("return torch.where(total > 0, outside / total.clamp_min(1e-12), 0.0).mean()",
         "return (outside / total).mean()"),
        ("contrast = weight[labels][:, None] - weight[None]",
         "contrast = (weight[labels] - weight.mean(0))[:, None]"),
    ],
    "verdict": [
        ("stats.t.ppf(0.975, len(gaps) - 1)", "0.0"),
        ("gaps = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)",
         "gaps = np.asarray(first, dtype=float) - np.mean(second)"),
    ],
    "method": [("masks * batch.images + (1 - masks)", "0 * batch.images + (1 - masks)")],
}  # fmt: skip


def judge(tmp_path: Path, task: str, seed: int, *change: str) -> tuple[float, str]:
    """Grade the reference, with one change, in this process."""
    path = tmp_path / "submission.py"
    path.write_text(REFERENCE.replace(*change) if change else REFERENCE)
    return GRADER["TASKS"][task](GRADER["_answers"](path), seed)


@pytest.mark.parametrize("task", GRADER["POINTS"])
def test_the_reference_earns_every_point_on_a_seed_of_the_instructors(tmp_path, task):
    share, why = judge(tmp_path, task, 11)
    assert share == 1, why


@pytest.mark.parametrize(
    ("task", "change"), [(task, change) for task, bank in WRONG.items() for change in bank]
)
def test_wrong_answers_lose_points(tmp_path, task, change):
    assert change[0] in REFERENCE
    share, why = judge(tmp_path, task, 0, *change)
    assert share < 0.75, why


def test_verdicts_that_are_half_right_earn_nothing_and_the_grader_says_so():
    said = "15 of 30 verdicts; half right counts nothing"
    assert GRADER["_share"](15, 30, "verdicts", exact=True) == (0.0, said)


def test_the_unedited_starter_earns_nothing_and_is_told_why(tmp_path, monkeypatch):
    monkeypatch.setitem(GRADER["grade"].__globals__, "POINTS", {"verdict": 10})
    found = GRADER["grade"](PROJECT / "starter.py")
    assert found["verdict"]["points"] == 0 and "NotImplementedError" in found["verdict"]["why"]


BORROWED = {
    "import grade": "grade",
    "from alignbook.campaign.statistics import paired": "alignbook.campaign.statistics",
    "from align import losses\nf = losses.alignment_energy": "alignment_energy",
    "import importlib\nf = importlib.import_module('grade')": "grade",
    "import sys\nf = sys.modules['__main__']._tolerable": "_tolerable",
}


@pytest.mark.parametrize("borrowed", BORROWED)
def test_a_submission_that_names_what_it_is_compared_with_is_refused(
    tmp_path, monkeypatch, borrowed
):
    monkeypatch.setitem(GRADER["grade"].__globals__, "POINTS", {"verdict": 10})
    path = tmp_path / "submission.py"
    path.write_text(REFERENCE + borrowed + "\n")
    found = GRADER["grade"](path)
    assert sum(row["points"] for row in found.values()) == 0
    (why,) = {row["why"] for row in found.values()}
    assert f"names '{BORROWED[borrowed]}', which the grader compares with" in why


def test_each_alignment_loss_of_the_library_is_refused_by_name():
    named = [name for name in vars(losses) if name.startswith("alignment_")]
    assert len(named) >= 4 and all(map(GRADER["REFUSED"].match, named))


def test_files_that_only_speak_of_the_grader_are_graded(tmp_path):
    for name in ("starter.py", "reference.py"):
        assert GRADER["refused"](PROJECT / name) == ""
    path = tmp_path / "submission.py"
    path.write_text(
        "# as grade.py does\ngrades = [1]\nalignment_weight = 2\n"
        "from align.losses import mask_to_cells\n"
        "if __name__ == '__main__':\n    print(grades)\n"
    )
    assert GRADER["refused"](path) == ""
    path.write_text("def broken(:\n")
    assert GRADER["refused"](path) == ""


def test_an_endless_loop_costs_one_task_only(tmp_path, monkeypatch):
    path = tmp_path / "submission.py"
    path.write_text("while True:\n    pass\n")
    monkeypatch.setitem(GRADER["run_task"].__globals__, "LIMIT", 2)
    assert GRADER["run_task"](path, "leak", 0) == (0.0, "stopped after 2 seconds")
