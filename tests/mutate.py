"""Puts known defects of public semi-supervised code into a copy of the engine and sees that a test fails for each.

    python tests/mutate.py            all of them, a few minutes on two cores
    python tests/mutate.py 2 17       those of the rows 2 and 17

Each defect replaces one piece of text that occurs exactly once in its file; a piece that is no longer there is an
error, so that the list cannot go stale unseen. Exits with 1 if a defect survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALGORITHMS = "engine/algorithms"
LIVE = "engine/live"
TRAINING = "engine/training"
AUDIT_TESTS = (
    "tests/engine/quality/test_standing.py tests/engine/store/test_audits.py "
    "tests/engine/project/quality/test_audits.py"
)
LIVE_TESTS = "tests/engine/project/test_live.py"
MEASURED_TESTS = "tests/engine/project/quality/test_measured_set.py"
MPL = "tests/engine/algorithms/test_meta_pseudo_labels.py tests/engine/algorithms/test_mpl_terms.py "
MPL += "tests/engine/algorithms/test_mpl_exact.py"


@dataclass(frozen=True)
class Defect:
    """One defect: its row, what it does, the text replaced in `file`, and the tests that must notice."""

    row: int
    what: str
    file: str
    old: str
    new: str
    tests: str


DEFECTS: tuple[Defect, ...] = (
    Defect(
        1,
        "soft targets give the teacher no gradient",
        f"{ALGORITHMS}/meta_pseudo_labels.py",
        "feedback = advantage * F.cross_entropy(z, labels)",
        "feedback = advantage * F.cross_entropy(z, q.detach())",
        MPL,
    ),
    Defect(
        1,
        "soft targets give the calibrator no gradient",
        f"{ALGORITHMS}/reduced_mpl.py",
        "feedback = advantage * F.cross_entropy(z, labels)",
        "feedback = advantage * F.cross_entropy(z, torch.softmax(z.detach(), 1))",
        "tests/engine/algorithms/test_reduced_mpl.py",
    ),
    Defect(
        2,
        "h is the new minus the old loss",
        f"{ALGORITHMS}/mpl_terms.py",
        "return torch.where(taken, before - after, 0.0)",
        "return torch.where(taken, after - before, 0.0)",
        MPL,
    ),
    Defect(
        2,
        "exact feedback has the other sign",
        f"{ALGORITHMS}/mpl_exact.py",
        "credit = rate * (1 - smoothing) / len(q) * moved",
        "credit = -rate * (1 - smoothing) / len(q) * moved",
        MPL,
    ),
    Defect(
        3,
        "the teacher's term uses another drawn label than the student",
        f"{ALGORITHMS}/meta_pseudo_labels.py",
        "feedback = advantage * F.cross_entropy(z, labels)",
        "feedback = advantage * F.cross_entropy(z, sample_labels(q, feed.uniform(len(q))))",
        MPL,
    ),
    Defect(
        21,
        "the feedback weight is ignored",
        f"{ALGORITHMS}/meta_pseudo_labels.py",
        "teacher_loss = rest + weight * feedback",
        "teacher_loss = rest + feedback",
        MPL,
    ),
    Defect(
        21,
        "sampled and exact feedback mean another thing by a weight",
        f"{ALGORITHMS}/meta_pseudo_labels.py",
        "feedback = (q * credit).sum() / len(q)",
        "feedback = (q * credit).sum()",
        MPL,
    ),
    Defect(
        3,
        "the calibrator's term uses another drawn label than the student",
        f"{ALGORITHMS}/reduced_mpl.py",
        "feedback = advantage * F.cross_entropy(z, labels)",
        "feedback = advantage * F.cross_entropy(z, sample_labels(torch.softmax(z, 1), feed.uniform(len(z))))",
        "tests/engine/algorithms/test_reduced_mpl.py",
    ),
    Defect(
        4,
        "the old loss is measured in training mode",
        f"{ALGORITHMS}/mpl_terms.py",
        "before = measured_loss(student.model, batch) if measure else torch.zeros_like(loss)",
        "before = F.cross_entropy(student.logits(batch.labeled), batch.y).detach()",
        MPL,
    ),
    Defect(
        5,
        "a step with an infinite gradient is taken",
        f"{ALGORITHMS}/mpl_terms.py",
        "        if bool(finite):\n            optimizer.step()",
        "        optimizer.step()",
        MPL,
    ),
    Defect(
        5,
        "the fused step is not told of an infinite gradient",
        f"{ALGORITHMS}/mpl_terms.py",
        "(~finite).to(torch.float32).view(1)",
        "torch.zeros(1, device=norm.device)",
        MPL,
    ),
    Defect(
        5,
        "the losses of h are rounded to bfloat16",
        f"{ALGORITHMS}/mpl_terms.py",
        "torch.autocast(device.type, enabled=False), exact_products(device):",
        "torch.autocast(device.type, dtype=torch.bfloat16), exact_products(device):",
        MPL,
    ),
    Defect(
        6,
        "the student's targets carry the teacher's graph",
        f"{ALGORITHMS}/meta_pseudo_labels.py",
        "student, batch, q.detach(), student_rate",
        "student, batch, q, student_rate",
        MPL,
    ),
    Defect(
        6,
        "h carries the student's graph into the teacher's loss",
        f"{ALGORITHMS}/mpl_terms.py",
        "@torch.no_grad()\ndef measured_loss",
        "def measured_loss",
        MPL,
    ),
    Defect(
        7,
        "the baseline takes h in before it is subtracted",
        f"{ALGORITHMS}/mpl_terms.py",
        "        advantage = h - self.value\n        self.value = self._decay * self.value + (1 - self._decay) * h\n",
        "        self.value = self._decay * self.value + (1 - self._decay) * h\n        advantage = h - self.value\n",
        MPL,
    ),
    Defect(
        8,
        "the warm-up counts from the start of the run, so that it jumps after the wait",
        f"{TRAINING}/optim.py",
        "    step, total = step - wait, total - wait\n",
        "",
        f"{MPL} tests/engine/training",
    ),
    Defect(
        9,
        "held-out images are trained on",
        "engine/rounds/worker/material.py",
        "train_idx=torch.from_numpy(train)",
        "train_idx=torch.from_numpy(np.concatenate([train, heldout]))",
        "tests/engine/rounds tests/engine/training",
    ),
    Defect(
        9,
        "held-out labels outside the split are let in",
        f"{TRAINING}/pools.py",
        "        if len(twice):",
        "        if False:",
        "tests/engine/training",
    ),
    Defect(
        10,
        "the temperature is ignored",
        f"{ALGORITHMS}/targets.py",
        "torch.softmax(logits.detach().float() / temperature, 1)",
        "torch.softmax(logits.detach().float(), 1)",
        "tests/engine/algorithms",
    ),
    Defect(
        10,
        "the mask looks at the probabilities before sharpening",
        f"{ALGORITHMS}/targets.py",
        "    confidence, classes = probabilities.max(1)",
        "    confidence, classes = torch.softmax(logits.detach().float(), 1).max(1)",
        "tests/engine/algorithms",
    ),
    Defect(
        11,
        "directions are normalised over the last dimension alone",
        f"{ALGORITHMS}/vat.py",
        "    flat = d.flatten(1)\n",
        "    flat = d.reshape(-1, d.shape[-1])\n",
        "tests/engine/algorithms/test_vat.py",
    ),
    Defect(
        11,
        "the search for the direction leaves gradients in the weights",
        f"{ALGORITHMS}/vat.py",
        "        (gradient,) = torch.autograd.grad(change, d)",
        "        change.backward()  # type: ignore[no-untyped-call]\n        gradient = d.grad\n"
        "        assert gradient is not None",
        "tests/engine/algorithms/test_vat.py",
    ),
    Defect(
        12,
        "the labeling pass moves the normalisation statistics",
        f"{ALGORITHMS}/pseudo_label.py",
        "            with evaluation_mode(model), torch.no_grad():",
        "            with torch.no_grad():",
        "tests/engine/algorithms/test_pseudo_label.py",
    ),
    Defect(
        12,
        "FixMatch's labeling pass moves the normalisation statistics",
        f"{ALGORITHMS}/fixmatch.py",
        "        with evaluation_mode(learner.model), torch.no_grad():",
        "        with torch.no_grad():",
        "tests/engine/algorithms/test_fixmatch.py",
    ),
    Defect(
        13,
        "the last draw is labeled and never fitted",
        f"{ALGORITHMS}/classical_self_training.py",
        "        if epoch:\n            if self.config.method",
        "        if epoch == self.epochs - 1:\n            self._label(epoch - 1)\n            yield self._metrics()\n"
        "            return\n        if epoch:\n            if self.config.method",
        "tests/engine/algorithms/test_classical_self_training.py",
    ),
    Defect(
        13,
        "the place of the largest probability is taken for the class",
        f"{ALGORITHMS}/classical_model.py",
        "all_classes[start : start + len(part), classifier.classes_] = np.maximum(fitted, FLOOR)",
        "all_classes[start : start + len(part), : fitted.shape[1]] = np.maximum(fitted, FLOOR)",
        "tests/engine/algorithms/test_classical_self_training.py",
    ),
    Defect(
        14,
        "labels per class are cut down, so that some are lost",
        f"{TRAINING}/pools.py",
        "    while missing > 0 and",
        "    while False and",
        "tests/engine/training",
    ),
    Defect(
        15,
        "the split is drawn anew on resume",
        "engine/rounds/supervisor/prepare.py",
        "    if (folder / files.LABELS).exists() and (folder / files.CONFIG).exists():",
        "    if False:",
        "tests/engine/rounds/folder/test_plan.py",
    ),
    Defect(
        15,
        "a resumed run draws other batches",
        f"{TRAINING}/feed.py",
        '        self._position = int(state["position"])\n',
        "",
        "tests/engine/algorithms/test_resume.py tests/engine/training",
    ),
    Defect(
        16,
        "the average copies the normalisation statistics instead of averaging them",
        "engine/nets/ema.py",
        "        floating = [pair for pair in pairs if pair[0].is_floating_point()]",
        "        floating = list(zip(self.model.parameters(), model.parameters(), strict=True))\n"
        "        for a, b in zip(self.model.buffers(), model.buffers(), strict=True):\n            a.copy_(b)",
        "tests/engine/nets/test_ema.py",
    ),
    Defect(
        17,
        "the masked loss is divided by the number of images kept",
        f"{ALGORITHMS}/targets.py",
        "label_smoothing=smoothing)\n    return (losses * mask).sum() / len(losses)",
        "label_smoothing=smoothing)\n    return (losses * mask).sum() / mask.sum()",
        "tests/engine/algorithms/test_targets.py",
    ),
    Defect(
        18,
        "FreeMatch's thresholds are not kept in their range",
        f"{ALGORITHMS}/thresholds.py",
        ".clamp(self.terms.lowest, self.terms.highest)",
        "",
        "tests/engine/algorithms/test_thresholds.py",
    ),
    Defect(
        18,
        "FreeMatch's thresholds are clamped where no range is set",
        f"{ALGORITHMS}/thresholds.py",
        ".clamp(self.terms.lowest, self.terms.highest)",
        ".clamp(0.9, 0.95)",
        "tests/engine/algorithms/test_thresholds.py",
    ),
    Defect(
        22,
        "AdaMatch's threshold does not follow the confidence on labeled images",
        f"{ALGORITHMS}/thresholds.py",
        "(threshold * labeled_q.max(1).values.mean())",
        "torch.tensor(threshold)",
        "tests/engine/algorithms/test_thresholds.py",
    ),
    Defect(
        22,
        "FlexMatch counts a batch before its thresholds",
        f"{ALGORITHMS}/thresholds.py",
        '        last, threshold = self._state["last"], self.terms.threshold\n',
        '        last, threshold = self._state["last"], self.terms.threshold\n'
        "        last[places] = torch.where(p >= threshold, y, last[places])\n",
        "tests/engine/algorithms/test_thresholds.py",
    ),
    Defect(
        19,
        "an op is missing from RandAugment's list",
        "engine/augment/rand_augment.py",
        '    "equalize",\n    "posterize",\n    "rotate",',
        '    "posterize",\n    "rotate",',
        "tests/engine/augment/test_rand_augment.py",
    ),
    Defect(
        19,
        "RandAugment never draws its last op",
        "engine/augment/rand_augment.py",
        "op = torch.randint(len(OPS), (n,), generator=generator)",
        "op = torch.randint(len(OPS) - 1, (n,), generator=generator)",
        "tests/engine/augment/test_rand_augment.py",
    ),
    Defect(
        20,
        "labeled images are in the unlabeled pool too",
        "engine/rounds/worker/material.py",
        "unlabeled_idx=torch.from_numpy(unlabeled)",
        "unlabeled_idx=torch.from_numpy(np.concatenate([train, unlabeled]))",
        "tests/engine/rounds tests/engine/training",
    ),
    Defect(
        21,
        "a round that luck reaches often is promoted",
        "engine/rounds/worker/guard.py",
        "if own.correct > largest and (luck <= BY_LUCK or own.correct == own.n):",
        "if own.correct > largest:",
        "tests/engine/rounds/worker/test_guard.py",
    ),
    Defect(
        21,
        "of few scenes the model that had fewer right comes into force",
        "engine/rounds/worker/guard.py",
        "baseline.n > 0 and baseline.correct > own.correct",
        "baseline.n > 0 and not baseline.few and baseline.correct > own.correct",
        "tests/engine/rounds/worker/test_guard.py",
    ),
    Defect(
        21,
        "a set's labels are judged by a network of their own",
        "engine/rounds/worker/session.py",
        "spec = ALGORITHMS[self.spec.baseline]",
        'spec = ALGORITHMS["supervised"]',
        "tests/engine/rounds/worker/test_session.py",
    ),
    Defect(
        21,
        "fine-tuning takes as many steps after a short run as after a long one",
        "engine/training/finetune.py",
        "return max(1, round(share * steps)) if share else 0",
        "return 100 if share else 0",
        "tests/engine/training/test_finetune.py",
    ),
    Defect(
        21,
        "a round that says one class of all images is promoted",
        "engine/rounds/worker/guard.py",
        "most < NEARLY_ALL * total",
        "most <= total",
        "tests/engine/rounds/worker/test_guard.py",
    ),
    Defect(
        21,
        "the baseline's better model is reported and the other one's predictions are written",
        "engine/rounds/worker/session.py",
        "result, algorithm = BASELINE, self._trained(baseline, data)",
        "result, _ = BASELINE, self._trained(baseline, data)",
        "tests/engine/rounds/worker/test_session.py",
    ),
    Defect(
        21,
        "a class with five labels or fewer gives some of them away to measure",
        f"{TRAINING}/pools.py",
        "    enough = counts > TOO_FEW_TO_HOLD_OUT\n",
        "    enough = counts > 1\n",
        "tests/engine/training/test_pools_and_split.py tests/engine/rounds/folder/test_plan.py",
    ),
    Defect(
        21,
        "two names of one device are taken for two",
        f"{TRAINING}/device.py",
        "return indexed(one) == indexed(other)",
        "return one == other",
        "tests/test_fake_cuda.py::test_images_that_fit_lie_on_the_device_once_and_others_are_pinned_batch_by_batch",
    ),
    Defect(
        21,
        "a device is resolved without the index its tensors have",
        f"{TRAINING}/device.py",
        "return indexed(torch.device(name))",
        "return torch.device(name)",
        "tests/engine/training/test_device.py",
    ),
    Defect(
        22,
        "Sinkhorn leaves the columns as they were",
        f"{LIVE}/graph.py",
        "    return np.asarray(of_row[:, None] * beliefs * of_column)\n",
        "    return np.asarray(of_row[:, None] * beliefs)\n",
        "tests/engine/live/test_graph.py",
    ),
    Defect(
        22,
        "labels spread by averages over neighbours, not by the symmetric graph",
        f"{LIVE}/graph.py",
        "passing = (self.symmetric[order]",
        "passing = (self.averaging[order]",
        "tests/engine/live/test_graph.py",
    ),
    Defect(
        22,
        "the classes' shares are ignored",
        f"{LIVE}/graph.py",
        "    wanted = np.asarray(shares * len(beliefs), np.float32)\n",
        "    wanted = beliefs.sum(0)\n",
        "tests/engine/live/test_graph.py tests/engine/algorithms/test_transductive.py",
    ),
    Defect(
        22,
        "shares are taken from all labels, also those that nobody drew at random",
        f"{ALGORITHMS}/transductive.py",
        "drawn = torch.isin(self._pools.train_idx, self._pools.random_idx).numpy()",
        "drawn = np.ones(len(labels), bool)",
        "tests/engine/algorithms/test_transductive.py",
    ),
    Defect(
        22,
        "the regression counts in full from the first label on",
        f"{LIVE}/model.py",
        "return min(1.0, labels / (FULL_SAY * classes))",
        "return 1.0",
        "tests/engine/algorithms/test_transductive.py",
    ),
    Defect(
        22,
        "Σz²/v is left in the likelihood",
        f"{LIVE}/model.py",
        "(x @ scaled.T - (scaled * means).sum(1) / 2)",
        "(x @ scaled.T - (scaled * means).sum(1) / 2 - (x * x / variance).sum(1, keepdims=True) / 2)",
        "tests/engine/live/test_model.py",
    ),
    Defect(
        22,
        "the confidence of live labels is the model's own",
        f"{LIVE}/refit.py",
        "confidence = sure[np.arange(len(sure)), probabilities.argmax(1)]",
        "confidence = probabilities.max(1)",
        "tests/engine/live/test_refit.py",
    ),
    Defect(
        22,
        "a guess from the class names counts in full whatever the answers say",
        f"{LIVE}/guess.py",
        "say: float = min(max(earned, 0.0), 1.0)",
        "say: float = 1.0",
        "tests/engine/live/test_guess.py",
    ),
    Defect(
        22,
        "chance is taken for agreement with the guess",
        f"{LIVE}/guess.py",
        "return (hits - chance) / (1 - chance) if chance < 1 else 0.0",
        "return hits",
        "tests/engine/live/test_guess.py",
    ),
    Defect(
        22,
        "a guess alone is as sure as the model says",
        f"{LIVE}/refit.py",
        "confidence = even[:, 0].copy()",
        "confidence = clamped(logits, labeled).max(1)",
        "tests/engine/live/test_guess.py",
    ),
    Defect(
        22,
        "labels since the fit before are not spread in full",
        f"{LIVE}/refit.py",
        "reached[:, label] += self._ahead[row]",
        "reached[row, label] += 1",
        "tests/engine/live/test_refit.py",
    ),
    Defect(
        22,
        "a label that was changed leaves what it spread before",
        f"{LIVE}/refit.py",
        " and (now[before.rows] == before.labels).all())",
        ")",
        "tests/engine/live/test_refit.py",
    ),
    Defect(
        22,
        "an added image joins no list of others",
        f"{LIVE}/graph.py",
        "closer = exact < squares[close, -1]",
        "closer = exact < 0",
        "tests/engine/live/test_graph.py",
    ),
    Defect(
        22,
        "the confidence is the model's own",
        f"{ALGORITHMS}/transductive.py",
        "return self._of_all_classes(self._joined(logits, rows) / self._temperature()), z",
        "return self._of_all_classes(self._joined(logits, rows)), z",
        "tests/engine/algorithms/test_transductive.py",
    ),
    Defect(
        22,
        "labels of held-out images say which classes there are",
        f"{ALGORITHMS}/transductive.py",
        "np.unique(pools.train_y.numpy(), return_inverse=True)",
        "np.unique(torch.cat([pools.train_y, pools.heldout_y]).numpy(), return_inverse=True)",
        "tests/engine/algorithms/test_transductive.py",
    ),
    Defect(
        21,
        "a view is used before the feed's stream has made it",
        f"{TRAINING}/feed.py",
        "        training.wait_stream(self._stream)\n",
        "",
        "tests/test_fake_cuda.py::"
        "test_views_are_made_on_a_stream_of_their_own_that_waits_for_the_training_only_where_it_must",
    ),
    Defect(
        21,
        "logits are overwritten by the next pass of a recorded graph",
        f"{TRAINING}/learner.py",
        "logits.to(torch.float32, copy=self._compiled is not None)",
        "logits.float()",
        "tests/engine/training/test_learner.py",
    ),
    Defect(
        21,
        "a run on the CPU asks CUDA for its random state",
        f"{TRAINING}/checkpoint.py",
        '"cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []',
        '"cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []',
        "tests/engine/training/test_checkpoint.py",
    ),
    Defect(
        23,
        "a queue is kept although a live model was fitted anew",
        "engine/project/review/queue.py",
        "model = number if predictions is None else (predictions.round, predictions.version)",
        "model = number if predictions is None else predictions.round",
        LIVE_TESTS,
    ),
    Defect(
        23,
        "live labels wait for the tenth answer however long it takes",
        "engine/project/live.py",
        "return changed >= self.per_refit or (changed > 0 and now - self._changed_at >= REST)",
        "return changed >= self.per_refit",
        LIVE_TESTS,
    ),
    Defect(
        23,
        "an audit judges predictions that go on changing",
        "engine/project/quality/audits.py",
        "self._live.freeze(rule.round)",
        "pass",
        LIVE_TESTS,
    ),
    Defect(
        23,
        "live labels push a later round aside",
        "engine/project/live.py",
        "return not self._asked if self._round is None else in_force > self._round.record.number",
        "return False",
        LIVE_TESTS,
    ),
    Defect(
        23,
        "predictions of a live round's fit take the place of those its report names",
        "engine/rounds/live.py",
        "name = files.live_predictions(epoch)",
        "name = files.live_predictions(1)",
        "tests/engine/rounds/test_live.py",
    ),
    Defect(
        23,
        "memory keeps a live round's first predictions",
        "engine/project/results.py",
        "if kept != wanted]",
        "]",
        LIVE_TESTS,
    ),
    Defect(
        23,
        "doubt orders the queue before every class has labels",
        "engine/project/review/queue.py",
        "young=self._young(table, predictions),",
        "young=False,",
        LIVE_TESTS,
    ),
    Defect(
        23,
        "the confidence exported is the transductive step's",
        "engine/project/live.py",
        "probabilities[:, columns] = stated(refit.probabilities, refit.confidence, refit.cautious)",
        "probabilities[:, columns] = refit.probabilities",
        LIVE_TESTS,
    ),
    Defect(
        23,
        "a class beside the first is stated as more likely",
        "engine/live/stated.py",
        "shown = (1 - first)[:, None] * ((1 - evened) * others + evened * even)",
        "shown = (1 - first)[:, None] * others",
        "tests/engine/live/test_stated.py",
    ),
    Defect(
        24,
        "a view is chosen whatever its standard error",
        "engine/nets/views.py",
        "leads = {first: 1.0}",
        "leads = {first: 0.0}",
        "tests/engine/nets/test_views.py",
    ),
    Defect(
        24,
        "Pseudo-Label forgets the set's labels it began with",
        f"{ALGORITHMS}/pseudo_label.py",
        "given_weight = 0.0 if self._given is None else config.alpha_f - weight",
        "given_weight = 0.0",
        "tests/engine/algorithms/test_taught_start.py",
    ),
    Defect(
        24,
        "a network begins with fresh weights and not with those taught",
        f"{TRAINING}/learner.py",
        "self.model.load_state_dict(weights)",
        "dict(weights)",
        "tests/engine/algorithms/test_taught_start.py",
    ),
    Defect(
        24,
        "the recommended order begins with the surest by a live model",
        "engine/query/least_sure.py",
        "doubt = 1.0 - pool.sureness.astype(np.float64)",
        "doubt = pool.sureness.astype(np.float64)",
        "tests/engine/query/test_least_sure.py",
    ),
    Defect(
        25,
        "live labels learn from the measured set",
        "engine/project/live.py",
        "table.rejected[rows] | np.isin(ids, self._apart)",
        "table.rejected[rows]",
        LIVE_TESTS,
    ),
    Defect(
        25,
        "a round learns from the measured set",
        "engine/rounds/supervisor/prepare.py",
        "-1 if state.label is None or state.image_id in apart else",
        "-1 if state.label is None else",
        MEASURED_TESTS,
    ),
    Defect(
        25,
        "a round is measured by images that it learned from",
        "engine/rounds/folder/results.py",
        'LEARNED = ("train", "heldout")',
        'LEARNED = ("heldout",)',
        MEASURED_TESTS,
    ),
    Defect(
        25,
        "what was passed over has no part in the measured accuracy",
        "engine/project/quality/measured.py",
        "ids = ids[: last[-1] + 1] if len(last) else ids[:0]",
        "ids = ids[last]",
        MEASURED_TESTS,
    ),
    Defect(
        25,
        "what is changed with the prediction in sight measures",
        "engine/store/measured.py",
        "if asked is not None or draws[at][1] + 1 not in says_so:",
        "if at >= 0:",
        MEASURED_TESTS,
    ),
    Defect(
        25,
        "images of one group measure several times",
        "engine/project/quality/measured.py",
        "return ids[np.sort(np.unique(groups, return_index=True)[1])]",
        "return ids",
        MEASURED_TESTS,
    ),
    Defect(
        25,
        "who measures sees the prediction",
        "engine/project/review/queue.py",
        "column if has_prediction and not entry.blind else None",
        "column if has_prediction else None",
        MEASURED_TESTS,
    ),
    Defect(
        25,
        "the measured set passes labeled images over",
        "engine/project/quality/measured.py",
        "table.image_ids[table.rejected]",
        "table.image_ids[table.rejected | table.labeled]",
        MEASURED_TESTS,
    ),
    Defect(
        25,
        "a model is called better when it has more right",
        "engine/quality/measured_set.py",
        "ENOUGH_EVIDENCE = 20.0",
        "ENOUGH_EVIDENCE = 1.0",
        "tests/engine/quality/test_measured_set.py",
    ),
    Defect(
        25,
        "bands of confidence are not weighed by the undecided",
        "engine/quality/measured_set.py",
        "hits, weight = np.bincount(band, right, bands), there / len(undecided)",
        "hits, weight = np.bincount(band, right, bands), count / count.sum()",
        "tests/engine/quality/test_measured_set.py",
    ),
    Defect(
        26,
        "audits that are begun anew cost nothing",
        "engine/quality/betting.py",
        "sides * statements * (audit * (audit + 1) // 2) / alpha",
        "sides * statements / alpha",
        "tests/engine/quality/test_betting.py",
    ),
    Defect(
        26,
        "an answer that differs is final without a second look",
        "engine/quality/standing.py",
        "return Verdict(wrong=True, settled=False, second=True)",
        "return Verdict(wrong=True, settled=True)",
        AUDIT_TESTS,
    ),
    Defect(
        26,
        "who sees the label confirms what chance drew",
        "engine/quality/standing.py",
        "elif blind or not drawn:",
        "else:",
        AUDIT_TESTS,
    ),
    Defect(
        26,
        "an answer taken back was never given",
        "engine/project/quality/audit_course.py",
        "self.looked_at.setdefault(one.image_id, one.seq)\n                new.append(one.image_id)",
        "pass",
        AUDIT_TESTS,
    ),
    Defect(
        26,
        "a class is asked along the order of all labels",
        "engine/quality/frozen.py",
        'f"audit {audit}" if part == ALL else f"audit {audit} {part}"',
        'f"audit {audit}"',
        AUDIT_TESTS,
    ),
    Defect(
        26,
        "labels that a model changed since the freeze are passed over",
        "engine/quality/standing.py",
        "int((changed & rows).sum()),",
        "0,",
        AUDIT_TESTS,
    ),
    Defect(
        26,
        "a label that waits for its second look counts as put right",
        "engine/quality/standing.py",
        "left + self.unsettled",
        "left",
        "tests/engine/project/quality/test_verify.py",
    ),
    Defect(
        26,
        "an export does not count the labels that it changed",
        "engine/quality/certificate.py",
        "changed[row] = label is not None and label != frozen.names[code]",
        "changed[row] = False",
        "tests/engine/project/quality/test_verify.py",
    ),
    Defect(
        26,
        "suspicion is that of after the answers",
        "engine/project/quality/suspicions.py",
        "suspected[audit.frozen.rows(ids)[0]].sum()",
        "suspected[:0].sum()",
        "tests/engine/project/quality/test_goal.py",
    ),
    Defect(
        26,
        "images left out of an order are not noticed",
        "engine/store/audits.py",
        "if any(seen.get(int(in_order[at]), seq + 1) > seq for at, seq in zip(passed, passed_at, strict=True)):",
        "if False:",
        AUDIT_TESTS,
    ),
    Defect(
        21,
        "live labels say what is left by fewer answers than the quality page",
        "engine/project/quality/measured.py",
        "            if written.n >= scale.TENS:\n",
        "            if written.n >= scale.SHARE:\n",
        "tests/engine/project/quality/test_scale.py",
    ),
    Defect(
        21,
        "looks before a freeze go by suspicion alone",
        "engine/project/quality/goal.py",
        "return free[: max(0, LOOKS - int(now.looked[rows].sum()))]",
        "return free[:0]",
        "tests/engine/project/quality/test_by_class.py",
    ),
    Defect(
        21,
        "a round is held back by held-out labels of other images than the round in force had",
        "engine/rounds/worker/guard.py",
        "    if not own.n:\n        return Verdict(True, _unmeasured(previous))\n",
        "    if not own.n:\n        return Verdict(True, _unmeasured(previous))\n"
        "    if previous is not None and own.high < previous.heldout.low:\n"
        "        return Verdict(False, _unmeasured(previous))\n",
        "tests/engine/rounds/worker/test_guard.py",
    ),
)


def run_tests(tests: str, copy: Path) -> subprocess.CompletedProcess[str]:
    """Run some tests of the copy until the first that fails."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=900)


def problem_with(defect: Defect, copy: Path, sound: set[str]) -> str | None:
    """Return None if the tests pass without the defect and one fails with it, else what happened.

    `sound` collects the tests that are known to pass without any defect.
    """
    path = copy / defect.file
    text = path.read_text()
    if text.count(defect.old) != 1:
        return f"its text occurs {text.count(defect.old)} times in {defect.file}"
    if defect.tests not in sound:
        clean = run_tests(defect.tests, copy)
        if clean.returncode != 0:
            return f"the tests fail without the defect: {clean.stdout[-500:]}"
        sound.add(defect.tests)
    path.write_text(text.replace(defect.old, defect.new))
    run = run_tests(defect.tests, copy)
    path.write_text(text)
    if run.returncode == 1:
        failed = [line for line in run.stdout.splitlines() if line.startswith("FAILED")]
        print(f"  noticed by {failed[0].removeprefix('FAILED ').split(' - ')[0] if failed else '?'}", flush=True)
        return None
    return "no test failed" if run.returncode == 0 else f"pytest ended with {run.returncode}: {run.stdout[-500:]}"


def main(rows: list[int]) -> int:
    """Try every defect of these rows, all if none is named; return the exit status."""
    chosen = [defect for defect in DEFECTS if not rows or defect.row in rows]
    bad, sound = 0, set[str]()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name in ("engine", "app", "tests", "pyproject.toml"):
            source = ROOT / name
            ignore = shutil.ignore_patterns("__pycache__")
            (copy).mkdir(exist_ok=True)
            shutil.copytree(source, copy / name, ignore=ignore) if source.is_dir() else shutil.copy(source, copy / name)
        for defect in chosen:
            print(f"{defect.row:>3} {defect.what}", flush=True)
            problem = problem_with(defect, copy, sound)
            if problem:
                bad += 1
                print(f"  SURVIVED: {problem}", flush=True)
    print(f"{len(chosen) - bad} of {len(chosen)} defects were noticed.")
    return 1 if bad or not chosen else 0


if __name__ == "__main__":
    sys.exit(main([int(argument) for argument in sys.argv[1:]]))
