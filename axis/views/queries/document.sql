-- One document or status by its id.
SELECT sequence, document_id, kind, sender, host, subject, type_name, number, issuer_document_id, numbering, relation,
    about, status_code, accepted_at, bytes
FROM documents WHERE document_id = :document_id
