select id, kind, who, body
from audit
where id >= :since and id < :before and kind in (:publish, :admin, :auth) and (:who is null or who = :who)
order by id desc
limit :limit
