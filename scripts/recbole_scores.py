"""What RecBole says of a split that gnnrec exported; run by `with_recbole.py` in an environment of RecBole's own.

    PYTHON scripts/recbole_scores.py NAME.yaml MODEL '{"train_batch_size": 1}' OUT.json

Needs recbole 1.2.1 (with numpy below 2 and pandas below 2.2) and nothing of gnnrec. Writes users, their lists of 20 and recall
and NDCG of each, by RecBole's own metrics, and the means that its own evaluation gives.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

K = 20


def main(yaml: str, model: str, settings: str, out: str) -> None:
    """Fit the model on train, score it on test, write what came of it."""
    import numpy as np
    import recbole
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.evaluator.metrics import NDCG, Recall
    from recbole.utils import get_model, get_trainer, init_seed
    from recbole.utils.case_study import full_sort_topk

    quiet = {"show_progress": False, "use_gpu": False, "seed": 0, "state": "ERROR"}
    config = Config(model=model, config_file_list=[yaml], config_dict={**quiet, **json.loads(settings)})
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    fitted = get_model(config["model"])(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, fitted)
    trainer.fit(train, valid, saved=False, show_progress=False)
    means = trainer.evaluate(test, load_best_model=False)

    users = test.uid_list.numpy()
    # As long, and of as many users at once, as in its evaluation: ties come out in another order otherwise.
    longest, starts = max(config["topk"]), range(0, len(users), test.step)
    blocks = [full_sort_topk(users[at : at + test.step], fitted, test, longest)[1].numpy()[:, :K] for at in starts]
    lists = np.concatenate(blocks)
    relevant = [set(test.uid2positive_item[user].tolist()) for user in users]
    hits = np.array([[item in mine for item in row] for row, mine in zip(lists, relevant, strict=True)])
    sizes = np.array([len(mine) for mine in relevant])
    found = {
        "recbole": recbole.__version__,
        "means": dict(means),
        "users": dataset.id2token(dataset.uid_field, users).tolist(),
        "lists": dataset.id2token(dataset.iid_field, lists).tolist(),
        "recall": Recall(config).metric_info(hits, sizes)[:, K - 1].tolist(),
        "ndcg": NDCG(config).metric_info(hits, sizes)[:, K - 1].tolist(),
        "counted": int(fitted.item_cnt.sum()) if model == "Pop" else None,
    }
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
