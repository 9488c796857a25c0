export { describeClientContract, type ClientUnderTest } from './client-contract.ts'
