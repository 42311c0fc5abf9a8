"""`python -m voicesession_agent`: the agent image's entry point."""

if __name__ == "__main__":
    from voicesession_agent.app import main

    main()
