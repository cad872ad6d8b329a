"""Faults of the topics themselves: partitions added under load, a topic that is deleted and made again, retention.

The place for them; none yet. Each is a function like those of faults_brokers.py: `world.kafka` is the cluster, `world.limits`
knows each limit's `partition`; call `world.find_partitions()` after keys have moved.
"""
