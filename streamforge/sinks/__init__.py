"""Where events go beside those who ask for them: brokers that others read.

protocol      what a sink is: it takes messages, all of them or some, and says when it could not
sender        the log of every owner, in order and at least once, by one process at a time
redis_stream  Redis
jetstream     NATS
opening       those that the settings name
"""
