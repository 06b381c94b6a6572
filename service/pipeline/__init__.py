"""The whole flow, in order: receive -> normalise -> store -> derive -> notify.

| step | module | does |
|---|---|---|
| receive | `service.door` | raw hook -> inbox row, 200 after the commit |
| normalise | `drain` | inbox rows -> facts and touched subjects (adapter, pure) |
| fetch | `fetch` | touched subjects -> facts (REST, outside any transaction) |
| store, derive | `apply` | facts -> versions, violations, contributions: one transaction |
| levels | `levels` | the second layer: sellers |
| judge again | `rejudge` | all timelines, after a change of settings, rules or directory |
| notify | `tick` | violations whose instant has come -> announcements -> outbox |
| check | `verify` | everything derived, recomputed and compared or replaced |

Stages never import each other; only the modules of this package know them all.
"""
