"""What PostgreSQL runs for shapes that are not built from plain coordinates: regions in columns, centroids, boxes.

The twin of `catalog.adql.sphere`, on pgSphere's types; shapes travel as the same text. What is no shape yields NULL.
"""

from __future__ import annotations

from catalog.adql.installed import InstalledFunction

__all__ = ["POSTGRESQL_GEOMETRY"]

_BORDER = "1e-9"

_NUMBERS = r"""
BEGIN
    RETURN string_to_array(regexp_replace(trim(shape), '^[A-Z]+\s+(ICRS\s+)?', ''), ' ')::float8[];
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
"""

_POLYGON = r"""
DECLARE
    numbers text := regexp_replace(shape, '^[A-Z]+\s+(ICRS\s+)?', '');
    corners text := regexp_replace(numbers, '(\S+)\s+(\S+)\s*', '(\1d,\2d),', 'g');
    start text := substr(corners, 1, strpos(corners, '),') + 1);
BEGIN
    IF right(corners, length(start)) = start THEN corners := left(corners, -length(start)); END IF;
    RETURN ('{' || rtrim(corners, ',') || '}')::spoly;
EXCEPTION WHEN data_exception OR internal_error OR syntax_error_or_access_rule_violation THEN
    BEGIN
        RETURN ('{' || rtrim(regexp_replace(corners, '(\([^)]*\),)\1+', '\1', 'g'), ',') || '}')::spoly;
    EXCEPTION WHEN data_exception OR internal_error OR syntax_error_or_access_rule_violation THEN
        RETURN NULL;
    END;
END
"""
"""A corner that repeats the one before, or the first at the end, is no corner of its own."""

_CENTRE = "SELECT spoint(radians(numbers[1]), radians(numbers[2]))"

_ANTIPODE = "SELECT spoint(radians(numbers[1]) + pi(), radians(-numbers[2]))"

_COORDINATE = "SELECT split_part(point, ' ', number)::float8"

_CONTAINS = f"""
DECLARE
    a float8[] := ivoa.adql_numbers(inner_shape);
    b float8[] := ivoa.adql_numbers(outer_shape);
    a_polygon spoly;
    b_polygon spoly;
    a_radius float8 := 0;
    b_radius float8 := 0;
BEGIN
    IF inner_shape LIKE 'POLYGON%' THEN
        a_polygon := ivoa.adql_polygon(inner_shape);
        IF a_polygon IS NULL THEN RETURN NULL; END IF;
    ELSIF inner_shape LIKE 'CIRCLE%' THEN
        a_radius := radians(a[3]);
    END IF;
    IF outer_shape LIKE 'POLYGON%' THEN
        b_polygon := ivoa.adql_polygon(outer_shape);
        IF b_polygon IS NULL THEN RETURN NULL; END IF;
        IF a_polygon IS NOT NULL THEN RETURN a_polygon <@ b_polygon; END IF;
        IF a_radius <= 3 * {_BORDER} THEN RETURN ivoa.adql_centre(a) <@ b_polygon; END IF;
        RETURN a_radius < pi() / 2 AND scircle(ivoa.adql_centre(a), a_radius - 2 * {_BORDER}) <@ b_polygon;
    END IF;
    IF outer_shape LIKE 'CIRCLE%' THEN b_radius := radians(b[3]); END IF;
    IF least(a_radius, b_radius) < 0 THEN RETURN NULL; END IF;
    IF b_radius >= pi() THEN RETURN true; END IF;
    IF a_polygon IS NULL THEN
        RETURN dist(ivoa.adql_centre(a), ivoa.adql_centre(b)) + a_radius <= b_radius + {_BORDER};
    END IF;
    IF b_radius <= pi() / 2 THEN RETURN a_polygon <@ scircle(ivoa.adql_centre(b), b_radius); END IF;
    RETURN NOT a_polygon && scircle(ivoa.adql_antipode(b), pi() - b_radius);
END
"""

_INTERSECTS = f"""
DECLARE
    a float8[] := ivoa.adql_numbers(first_shape);
    b float8[] := ivoa.adql_numbers(second_shape);
    radius float8;
    polygon spoly;
    other spoly;
BEGIN
    IF first_shape LIKE 'POLYGON%' AND second_shape LIKE 'POLYGON%' THEN
        polygon := ivoa.adql_polygon(first_shape);
        IF first_shape = second_shape THEN RETURN polygon IS NOT NULL; END IF;
        other := ivoa.adql_polygon(second_shape);
        IF ivoa.adql_centre(a) <@ other OR ivoa.adql_centre(b) <@ polygon THEN RETURN true; END IF;
        RETURN polygon && other;
    END IF;
    IF second_shape LIKE 'POLYGON%' THEN
        RETURN ivoa.adql_intersects(second_shape, first_shape);
    END IF;
    radius := CASE WHEN second_shape LIKE 'CIRCLE%' THEN radians(b[3]) ELSE 0 END;
    IF radius < 0 THEN RETURN NULL; END IF;
    IF first_shape LIKE 'POLYGON%' THEN
        polygon := ivoa.adql_polygon(first_shape);
        IF radius <= {_BORDER} THEN RETURN ivoa.adql_centre(b) <@ polygon; END IF;
        IF radius <= pi() / 2 THEN RETURN polygon && scircle(ivoa.adql_centre(b), radius); END IF;
        RETURN radius >= pi() OR NOT polygon <@ scircle(ivoa.adql_antipode(b), pi() - radius);
    END IF;
    IF first_shape LIKE 'CIRCLE%' THEN
        IF a[3] < 0 THEN RETURN NULL; END IF;
        radius := radius + radians(a[3]);
    END IF;
    RETURN dist(ivoa.adql_centre(a), ivoa.adql_centre(b)) <= radius + {_BORDER};
END
"""

_AREA = """
DECLARE
    n float8[] := ivoa.adql_numbers(shape);
    corners integer := array_length(n, 1) / 2;
    a spoint;
    b spoint;
    m float8[] := '{0,0,0}';
    u float8[];
    v float8[];
    size float8;
    total float8 := 0;
BEGIN
    IF shape LIKE 'CIRCLE%' THEN
        RETURN CASE WHEN n[3] >= 0 THEN degrees(degrees(4 * pi() * sin(radians(least(n[3], 180)) / 2) ^ 2)) END;
    END IF;
    IF shape NOT LIKE 'POLYGON%' THEN RETURN 0; END IF;
    IF ivoa.adql_polygon(shape) IS NULL THEN RETURN NULL; END IF;
    FOR i IN 1 .. corners LOOP
        a := ivoa.adql_centre(n[2 * i - 1 : 2 * i]);
        m := ARRAY[m[1] + x(a), m[2] + y(a), m[3] + z(a)];
    END LOOP;
    size := sqrt(m[1] * m[1] + m[2] * m[2] + m[3] * m[3]);
    m := ARRAY[m[1] / size, m[2] / size, m[3] / size];
    FOR i IN 1 .. corners LOOP
        a := ivoa.adql_centre(n[2 * i - 1 : 2 * i]);
        b := ivoa.adql_centre(n[2 * (i % corners) + 1 : 2 * (i % corners) + 2]);
        u := ARRAY[x(a) - m[1], y(a) - m[2], z(a) - m[3]];
        v := ARRAY[x(b) - m[1], y(b) - m[2], z(b) - m[3]];
        total := total + 2 * atan2(
            m[1] * (u[2] * v[3] - u[3] * v[2]) + m[2] * (u[3] * v[1] - u[1] * v[3])
                + m[3] * (u[1] * v[2] - u[2] * v[1]),
            1 + m[1] * (x(a) + x(b)) + m[2] * (y(a) + y(b)) + m[3] * (z(a) + z(b))
                + x(a) * x(b) + y(a) * y(b) + z(a) * z(b)
        );
    END LOOP;
    RETURN degrees(degrees(abs(total)));
END
"""
"""The area of pgSphere loses digits where polygons are small."""

_CENTROID = """
DECLARE
    n float8[] := ivoa.adql_numbers(shape);
    corners integer := array_length(n, 1) / 2;
    a spoint;
    b spoint;
    c float8[];
    total float8[] := '{0,0,0}';
    middle float8[] := '{0,0,0}';
    sine float8;
    weight float8;
BEGIN
    IF shape LIKE 'CIRCLE%' AND (n[3] IS NULL OR n[3] < 0) THEN RETURN NULL; END IF;
    IF shape NOT LIKE 'POLYGON%' THEN
        total := ARRAY[x(ivoa.adql_centre(n)), y(ivoa.adql_centre(n)), z(ivoa.adql_centre(n))];
        RETURN ivoa.adql_lonlat(total);
    END IF;
    IF ivoa.adql_polygon(shape) IS NULL THEN RETURN NULL; END IF;
    FOR i IN 1 .. corners LOOP
        a := ivoa.adql_centre(n[2 * i - 1 : 2 * i]);
        b := ivoa.adql_centre(n[2 * (i % corners) + 1 : 2 * (i % corners) + 2]);
        c := ARRAY[y(a) * z(b) - z(a) * y(b), z(a) * x(b) - x(a) * z(b), x(a) * y(b) - y(a) * x(b)];
        sine := sqrt(c[1] * c[1] + c[2] * c[2] + c[3] * c[3]);
        weight := CASE WHEN sine > 0 THEN atan2(sine, x(a) * x(b) + y(a) * y(b) + z(a) * z(b)) / sine ELSE 1 END;
        total := ARRAY[total[1] + weight * c[1], total[2] + weight * c[2], total[3] + weight * c[3]];
        middle := ARRAY[middle[1] + x(a), middle[2] + y(a), middle[3] + z(a)];
    END LOOP;
    IF total[1] * middle[1] + total[2] * middle[2] + total[3] * middle[3] < 0 THEN
        total := ARRAY[-total[1], -total[2], -total[3]];
    END IF;
    IF sqrt(total[1] * total[1] + total[2] * total[2] + total[3] * total[3]) <= 1e-13 THEN total := middle; END IF;
    RETURN ivoa.adql_lonlat(total);
END
"""

_LONLAT = """
SELECT CASE WHEN lon >= 360 THEN 0 ELSE lon END::text || ' ' || lat::text
FROM (SELECT CASE WHEN turn < 0 THEN turn + 360 ELSE turn END AS lon, lat FROM (
    SELECT degrees(atan2(v[2], v[1])) AS turn, degrees(atan2(v[3], sqrt(v[1] * v[1] + v[2] * v[2]))) AS lat
) AS directions) AS degrees
"""

_BOX = """
DECLARE
    x float8;
    y float8;
    ra float8 := radians(lon);
    de float8 := radians(lat);
    written text := '';
    sides integer[] := '{-1,-1,1,-1,1,1,-1,1}';
BEGIN
    IF NOT (width > 0 AND width < 180 AND height > 0 AND height < 180) THEN RETURN NULL; END IF;
    FOR i IN 1 .. 4 LOOP
        x := sides[2 * i - 1] * tan(radians(width) / 2);
        y := sides[2 * i] * tan(radians(height) / 2);
        written := written || ' ' || ivoa.adql_lonlat(ARRAY[
            cos(de) * cos(ra) - x * sin(ra) - y * sin(de) * cos(ra),
            cos(de) * sin(ra) + x * cos(ra) - y * sin(de) * sin(ra),
            sin(de) + y * cos(de)
        ]);
    END LOOP;
    RETURN substr(written, 2);
END
"""

_SHAPE = r"""
DECLARE
    plain text := translate(written, 'binoxBINOX_', '???????????');
    n float8[] := string_to_array(trim(regexp_replace(plain, '\s+', ' ', 'g')), ' ')::float8[];
    count integer := coalesce(array_length(n, 1), 0);
BEGIN
    IF count < (CASE kind WHEN 'point' THEN 2 WHEN 'circle' THEN 3 ELSE 6 END)
        OR (kind = 'point' AND count > 2) OR (kind = 'circle' AND (count > 3 OR n[3] < 0 OR n[3] > 180))
        OR (kind = 'polygon' AND (count % 2 = 1 OR ivoa.adql_polygon(written) IS NULL)) THEN
        RAISE invalid_text_representation;
    END IF;
    FOR i IN 1 .. (CASE kind WHEN 'polygon' THEN count / 2 ELSE 1 END) LOOP
        IF abs(n[2 * i]) > 90 THEN RAISE invalid_text_representation; END IF;
    END LOOP;
    RETURN array_to_string(n, ' ');
END
"""
"""Spoils the letters of NaN, infinity and other numbers that are none in ADQL."""

POSTGRESQL_GEOMETRY: tuple[InstalledFunction, ...] = (
    InstalledFunction("adql_numbers", "shape text", "float8[]", _NUMBERS),
    InstalledFunction("adql_polygon", "shape text", "spoly", _POLYGON),
    InstalledFunction("adql_centre", "numbers float8[]", "spoint", _CENTRE, "sql"),
    InstalledFunction("adql_antipode", "numbers float8[]", "spoint", _ANTIPODE, "sql"),
    InstalledFunction("adql_coord", "point text, number integer", "float8", _COORDINATE, "sql"),
    InstalledFunction("adql_lonlat", "v float8[]", "text", _LONLAT, "sql"),
    InstalledFunction("adql_contains", "inner_shape text, outer_shape text", "boolean", _CONTAINS),
    InstalledFunction("adql_intersects", "first_shape text, second_shape text", "boolean", _INTERSECTS),
    InstalledFunction("adql_area", "shape text", "float8", _AREA),
    InstalledFunction("adql_centroid", "shape text", "text", _CENTROID),
    InstalledFunction("adql_box", "lon float8, lat float8, width float8, height float8", "text", _BOX),
    InstalledFunction("adql_shape", "written text, kind text", "text", _SHAPE),
)
