"""CRM adapters: bytes in, facts out. They never touch the database.

A new CRM is a folder here and a line in `ADAPTERS`.
"""

from service.crm.amocrm.adapter import AmoCrm
from service.crm.bitrix24.adapter import Bitrix24
from service.crm.generic.adapter import Generic
from service.domain.ports import Adapter

ADAPTERS: dict[str, Adapter] = {
    adapter.name: adapter for adapter in (AmoCrm(), Bitrix24(), Generic())
}
