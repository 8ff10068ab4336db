-- The trust policies of roles named users, roles and sessions of roles by ARN alone, so that whoever
-- had the name later was trusted. Each ARN stands for the unique id now of whom it names today. One
-- that names nobody stands for itself, which nobody's id is.
UPDATE identity_roles AS trusting SET value = json_set(value, '$.trusted', json((
    SELECT json_group_object(named.arn, coalesce(
        (
            SELECT json_extract(users.value, '$.id') FROM identity_users AS users
            WHERE users.account = substr(named.arn, 14, 12) AND named.arn = 'arn:aws:iam::'
                || users.account || ':user' || json_extract(users.value, '$.path')
                || json_extract(users.value, '$.name')
        ),
        (
            SELECT json_extract(roles.value, '$.id') FROM identity_roles AS roles
            WHERE roles.account = substr(named.arn, 14, 12) AND named.arn = 'arn:aws:iam::'
                || roles.account || ':role' || json_extract(roles.value, '$.path')
                || json_extract(roles.value, '$.name')
        ),
        (
            SELECT json_extract(roles.value, '$.id') || ':'
                || substr(named.arn, 41 + length(json_extract(roles.value, '$.name')))
            FROM identity_roles AS roles
            WHERE roles.account = substr(named.arn, 14, 12) AND 1 = instr(named.arn,
                'arn:aws:sts::' || roles.account || ':assumed-role/'
                || json_extract(roles.value, '$.name') || '/')
        ),
        named.arn
    ))
    FROM (
        SELECT DISTINCT part.atom AS arn
        FROM json_tree(json_extract(trusting.value, '$.trust_policy')) AS part
        WHERE part.type = 'text' AND part.fullkey LIKE '%rincipal.AWS%' AND (
            part.atom GLOB 'arn:aws:iam::*:user/*' OR part.atom GLOB 'arn:aws:iam::*:role/*'
            OR part.atom GLOB 'arn:aws:sts::*:assumed-role/*/*'
        )
    ) AS named
)))
WHERE json_valid(json_extract(value, '$.trust_policy'));
