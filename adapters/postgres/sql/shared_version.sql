select s.version
from tidegate_shared s
where s.key = %(key)s and (s.expires_at is null or s.expires_at > clock_timestamp())
