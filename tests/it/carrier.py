"""A carrier's agent: takes rows from a table in random order, and writes there what became of them, some twice, some late, some
corrected. It knows the table and a client of its database, and nothing of who inserts.

usage: carrier.py naru    HOST PORT USER PASSWORD DATABASE COUNT SEED TRUTH
       carrier.py em_tran HOST PORT USER PASSWORD DATABASE COUNT SEED TRUTH

Ends when it has taken and reported COUNT rows; TRUTH is then a line for each: the id, what became of it, and how it was told.
"""

import datetime
import json
import random
import sys
import time

GROUP = 100
PATIENCE = 1500
LATE = 4.0
HOWS = ["well"] * 6 + ["badly", "twice", "late", "corrected"]


class Naru:
    """The table of this project, on PostgreSQL."""

    def __init__(self, host, port, user, password, database):
        import pg8000.dbapi

        self.db = pg8000.dbapi.connect(user=user, password=password, host=host, port=int(port), database=database)

    def take(self, most):
        cursor = self.db.cursor()
        cursor.execute(
            "UPDATE naru_message SET status = 'CLAIMED', claimed_by = 'carrier', fence = fence + 1, "
            "claim_until = (now() AT TIME ZONE 'UTC') + interval '1 minute' "
            "WHERE msg_key IN (SELECT msg_key FROM naru_message WHERE status = 'READY' AND withdrawn_at IS NULL "
            "ORDER BY random() LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING msg_key, recipient, body",
            (most,),
        )
        rows = cursor.fetchall()
        cursor.executemany(
            "UPDATE naru_message SET status = 'SUBMITTED', gateway_id = %s, submitted_at = now() AT TIME ZONE 'UTC' "
            "WHERE msg_key = %s",
            [("g-" + key[-12:], key) for key, _, _ in rows],
        )
        self.db.commit()
        return [(key, key, body) for key, _, body in rows]

    def report(self, keys, well):
        cursor = self.db.cursor()
        cursor.execute(
            "UPDATE naru_message SET status = %s, result_code = %s, result_text = %s, report_rev = report_rev + 1, "
            "reported_at = now() AT TIME ZONE 'UTC' WHERE msg_key = ANY(%s)",
            ("DONE" if well else "FAILED", "0" if well else "27", "arrived" if well else "no such number", keys),
        )
        self.db.commit()

    def collected(self, keys):
        """Those whose report was taken back: a correction of them is a second revision for certain."""
        cursor = self.db.cursor()
        cursor.execute(
            "SELECT msg_key FROM naru_message WHERE msg_key = ANY(%s) AND collected_rev >= report_rev", (keys,)
        )
        rows = [key for (key,) in cursor.fetchall()]
        self.db.commit()
        return rows


class EmTran:
    """em_tran and its log tables, on MariaDB."""

    def __init__(self, host, port, user, password, database):
        import pymysql

        self.db = pymysql.connect(
            user=user, password=password, host=host, port=int(port), database=database, autocommit=False
        )
        month = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=9))).strftime("%Y%m")
        self.log = "em_log_" + month
        self.told = {}
        with self.db.cursor() as cursor:
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {self.log} LIKE em_tran")

    def take(self, most):
        with self.db.cursor() as cursor:
            cursor.execute(
                "SELECT tran_pr, tran_etc1, tran_msg FROM em_tran WHERE tran_status = '1' AND tran_date <= "
                "CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', '+09:00') + INTERVAL 1 SECOND ORDER BY RAND() LIMIT %s FOR UPDATE",
                (most,),
            )
            rows = cursor.fetchall()
            for key, _, _ in rows:
                cursor.execute("UPDATE em_tran SET tran_status = '2' WHERE tran_pr = %s", (key,))
        self.db.commit()
        return rows

    def report(self, keys, well):
        """A first report moves the row to the log; a later one finds it there."""
        with self.db.cursor() as cursor:
            marks = ", ".join(["%s"] * len(keys))
            for table in ["em_tran", self.log]:
                cursor.execute(
                    f"UPDATE {table} SET tran_status = '3', tran_rslt = %s, tran_rsltdate = NOW(3), "
                    f"tran_reportdate = NOW(3) WHERE tran_pr IN ({marks})",
                    ["0" if well else "5", *keys],
                )
            cursor.execute(
                f"INSERT INTO {self.log} SELECT * FROM em_tran WHERE tran_pr IN ({marks})", list(keys)
            )
            cursor.execute(f"DELETE FROM em_tran WHERE tran_pr IN ({marks})", list(keys))
        self.db.commit()
        self.told.update({key: time.monotonic() for key in keys})

    def collected(self, keys):
        """Nothing says so in this table: after a while it will have been."""
        return [key for key in keys if time.monotonic() - self.told[key] > LATE]


def main():
    table, host, port, user, password, database, count, seed, truth = sys.argv[1:]
    chance = random.Random(int(seed))
    agent = {"naru": Naru, "em_tran": EmTran}[table](host, port, user, password, database)
    count, deadline = int(count), time.monotonic() + PATIENCE
    ids, lines, late, corrected = {}, [], [], []
    while len(ids) < count or late or corrected:
        assert time.monotonic() < deadline, f"{len(ids)} of {count} rows came"
        rows = agent.take(chance.randint(1, GROUP))
        groups = {how: [] for how in HOWS}
        for key, name, body in rows:
            assert name not in ids.values(), f"{name} came twice"
            ids[key] = name
            how = chance.choice(HOWS)
            groups[how].append(key)
            lines.append({"id": name, "body": body, "how": how, "delivered": how != "badly"})
        for well, hows in [(True, ["well", "twice"]), (False, ["badly", "corrected"])]:
            keys = [key for how in hows for key in groups[how]]
            chance.shuffle(keys)
            if keys:
                agent.report(keys, well)
        if groups["twice"]:
            agent.report(groups["twice"], True)
        now = time.monotonic()
        late += [(now + LATE * chance.random(), key) for key in groups["late"]]
        corrected += groups["corrected"]
        ripe = [key for at, key in late if at <= now]
        if ripe:
            late = [(at, key) for at, key in late if at > now]
            agent.report(ripe, True)
        ready = agent.collected(corrected) if corrected else []
        if ready:
            corrected = [key for key in corrected if key not in set(ready)]
            agent.report(ready, True)
        if not rows:
            time.sleep(0.05)
    with open(truth, "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")


main()
