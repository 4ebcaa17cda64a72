class Redactor:
    def __init__(self, *, names=False): self.counts = {}; self.table = ()
    def learn(self, hosts=(), users=()): pass
    def text(self, t): return t
    def bytes(self, d): return d
def keep_setting(name): return not name.endswith("TOKEN")
