"""The users of loadtests/locustfile.py. To import one is to import Locust, which patches the process."""
