"""Leads: people who may buy, one row an e-mail address within a workspace."""

import pandera.pandas as pandera

from import_pipeline.catalog.dataset import Dataset, SenderOptions, column
from import_pipeline.catalog.types import Email, Number, Text, Timestamp, Uf


class Lead(pandera.DataFrameModel):
    """Columns and rules of a lead file."""

    email: Email = column(
        "E-mail", "Correio eletrônico", "Endereço de e-mail", "E-mail address", "Email do contato",
        "Email do lead", "Mail",
        required=True, personal=True,
    )  # fmt: skip
    name: Text = column(
        "Nome", "Nome completo", "Full name", "Nome do contato", "Nome do lead", "Contato", "Contact",
        "Contact name", "Cliente",
        personal=True,
    )  # fmt: skip
    # Text, not Phone: a lead is worth having with a number that lacks its area code.
    phone: Text = column(
        "Telefone", "Fone", "Tel", "Celular", "WhatsApp", "Telefone celular", "Número de telefone",
        "Phone number", "Mobile", "Mobile phone",
        personal=True, example="(11) 98765-4321",
    )  # fmt: skip
    company: Text = column(
        "Empresa", "Companhia", "Organização", "Razão social", "Nome da empresa", "Organization",
        "Organisation", "Company name",
        example="Padaria Estrela do Sul",
    )  # fmt: skip
    position: Text = column("Cargo", "Função", "Job title", "Title", "Role", example="Gerente")
    source: Text = column(
        "Origem", "Fonte", "Canal", "Origem do lead", "Lead source", "Channel", example="Site"
    )
    city: Text = column("Cidade", "Município", "Localidade", "Town", example="São Paulo")
    state: Uf = column("UF", "Estado", "Sigla UF", "Estado (UF)", "Province")
    estimated_value: Number(14, 2) = column(
        "Valor estimado", "Valor", "Valor previsto", "Valor potencial", "Orçamento", "Value", "Amount",
        "Deal value", "Estimated amount", "Budget",
    )  # fmt: skip
    created_at: Timestamp = column(
        "Data de criação", "Criado em", "Data de cadastro", "Data do cadastro", "Cadastrado em",
        "Data de entrada", "Data", "Created", "Creation date", "Created on", "Date",
    )  # fmt: skip
    notes: Text = column(
        "Observações", "Observação", "Obs", "Notas", "Anotações", "Comentários", "Comentário", "Note",
        "Comments", "Comment", "Remarks",
        personal=True, example="Ligar depois das 14h",
    )  # fmt: skip


DATASET = Dataset(
    name="leads",
    model=Lead,
    key=("email",),
    existing="skip",
    winner="first",
    unknown_columns="keep",
    timezone="America/Sao_Paulo",
    null_tokens=("", "-", "N/A", "NULL", "n/d"),
    description="People who may buy: one row an e-mail address.",
    defaults=SenderOptions(decimal=",", date_order="dmy"),
)
