"""What a merchant says of itself and shows for it."""

import base64

from vendrail.api.compliance import COMPANY, PERSON

PICTURE = base64.b64decode(  # One white dot.
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP6DwABBQECz6AuzQAAAABJRU5ErkJggg=="
)
FIELDS = {
    PERSON: {
        "full_name": "Li Na",
        "birth_date": "1990-03-07",
        "person_number": "11010119900307109X",
        "address": "1 Long Street, Beijing 100000",
        "phone": "+8613800138000",
    },
    COMPANY: {
        "company_name": "North Trading",
        "company_number": "91110000600037341L",
        "address": "1 Long Street, Beijing 100000",
        "full_name": "Li Na",
        "birth_date": "1990-03-07",
        "phone": "+8613800138000",
    },
}
